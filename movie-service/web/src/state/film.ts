import type { Movie } from "../gen/movie/catalog/v1/catalog_pb";
import type { CatalogStub } from "../service/calls";
import { isAbort, type Problem, toProblem } from "../service/errors";

/** The film that is shown with all its fields. Dispatches "change". */
export class ShownFilm extends EventTarget {
  /** The id of the film; empty if none is shown. */
  id = "";
  movie: Movie | undefined;
  problem: Problem | undefined;
  /** Whether the film was deleted while it was shown. */
  deleted = false;

  private running = new AbortController();

  constructor(private readonly stub: CatalogStub) {
    super();
  }

  /** Shows a film: at once as it is known from a list, then as the service has it. */
  async show(id: string, known?: Movie): Promise<void> {
    this.running.abort();
    this.id = id;
    this.movie = known;
    this.problem = undefined;
    this.deleted = false;
    this.changed();
    if (id === "") return;
    const running = new AbortController();
    this.running = running;
    try {
      const movie = await this.stub.getMovie({ id }, { signal: running.signal });
      if (running.signal.aborted) return;
      this.movie = movie;
    } catch (error) {
      if (running.signal.aborted || isAbort(error)) return;
      this.problem = toProblem(error);
    }
    this.changed();
  }

  /** Gets the film again. */
  reload(): Promise<void> {
    return this.show(this.id, this.movie);
  }

  /** Puts another version of a film in place, if it is the shown one. */
  replace(movie: Movie): void {
    if (movie.id !== this.id) return;
    // The response to a call that is under way may be older.
    this.running.abort();
    this.movie = movie;
    this.problem = undefined;
    this.deleted = false;
    this.changed();
  }

  /** Notes that a film was deleted, if it is the shown one. */
  remove(id: string): void {
    if (id !== this.id) return;
    this.running.abort();
    this.deleted = true;
    this.changed();
  }

  private changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}
