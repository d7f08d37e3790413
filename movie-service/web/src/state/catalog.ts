import type { Catalog } from "../gen/movie/catalog/v1/catalog_pb";
import type { CatalogStub } from "../service/calls";
import { type Problem, toProblem } from "../service/errors";

export type Health = "unknown" | "serving" | "notServing" | "unreachable";

/** What is known of the catalogue as a whole. Dispatches "change". */
export class CatalogInfo extends EventTarget {
  catalog: Catalog | undefined;
  health: Health = "unknown";
  problem: Problem | undefined;

  private running = new AbortController();

  constructor(
    private readonly stub: CatalogStub,
    private readonly isServing: () => Promise<boolean>,
  ) {
    super();
  }

  /** Whether this caller may write. */
  get canWrite(): boolean {
    return this.catalog?.canWrite ?? false;
  }

  /** Forgets the catalogue, which another caller may not see. */
  clear(): void {
    this.catalog = undefined;
  }

  /** Reads the state of the catalogue. A call that is under way is aborted. */
  async load(): Promise<void> {
    this.running.abort();
    const { signal } = (this.running = new AbortController());
    try {
      const catalog = await this.stub.getCatalog({}, { signal });
      if (signal.aborted) return;
      this.catalog = catalog;
      this.problem = undefined;
    } catch (error) {
      if (signal.aborted) return;
      this.problem = toProblem(error);
    }
    this.changed();
  }

  /** Asks for the health of the service. */
  async check(): Promise<void> {
    try {
      this.health = (await this.isServing()) ? "serving" : "notServing";
    } catch {
      // The reason is not told to pages; that the service cannot be reached is shown.
      this.health = "unreachable";
    }
    this.changed();
  }

  /** Tells the listeners that the catalogue has changed. */
  changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}
