import type { Facet, Movie } from "../gen/movie/catalog/v1/catalog_pb";
import type { CatalogStub } from "../service/calls";
import { isAbort, type Problem, toProblem } from "../service/errors";
import { countFacets, listSource, type ResultPage, type Row, SEARCH_LIMIT, searchSource, type Source } from "./pages";
import { EMPTY_QUERY, type FilmQuery } from "./url";

const FIRST_PAGE_SIZE = 48;
/** The films of further pages, at least: a page takes less time to decode than a frame. */
const MIN_PAGE_SIZE = 100;
const FLASH_MS = 2500;

/**
 * The films of a query, page by page. Dispatches "change", and "loaded" when the first page of a query is there.
 *
 * The films of the previous query stay until those of the next one have come.
 */
export class FilmList extends EventTarget {
  query: FilmQuery = EMPTY_QUERY;
  rows: Row[] = [];
  /** The number of films that match. */
  total = 0;
  /** The number of films that can be scrolled to. */
  reachable = 0;
  facets: readonly Facet[] = [];
  /** The revision of the films, once it is known. */
  revision: bigint | undefined;
  /** Whether the first page of the query is on its way. */
  loading = true;
  /** Whether the films were found by words, and may have parts that match. */
  hasMatches = false;
  problem: Problem | undefined;
  /** Whether the service was started without search, so that only titles are compared. */
  searchIsOff = false;
  /** The films that changed a moment ago, with the number of their changes since. */
  readonly flashes = new Map<string, number>();

  private source: Source;
  private next = "";
  /** Repeats the call that failed. */
  private again = (): void => {};
  /** The films that changed since the first page was asked for, `undefined` for deleted ones: pages show that revision. */
  private readonly changes = new Map<string, Movie | undefined>();
  private readonly flashTimers = new Map<string, ReturnType<typeof setTimeout>>();
  private wanted = 0;
  private pumping = false;
  private running = new AbortController();
  private positions = new Map<string, number>();

  constructor(private readonly stub: CatalogStub) {
    super();
    this.source = listSource(stub, this.query);
  }

  /** Shows the films of a query. Calls for the one before are aborted. */
  show(query: FilmQuery): Promise<void> {
    this.query = query;
    return this.load(FIRST_PAGE_SIZE);
  }

  /** Gets the films again, as many as there are. */
  reload(): Promise<void> {
    return this.load(Math.max(FIRST_PAGE_SIZE, Math.min(this.rows.length, MIN_PAGE_SIZE)));
  }

  /** Gets the films up to this position, if they are not there yet. */
  need(position: number): void {
    this.wanted = Math.max(this.wanted, Math.min(position + 1, this.reachable));
    if (!this.pumping && !this.loading && !this.problem) void this.pump();
  }

  /** Repeats the call that failed. */
  retry(): void {
    this.problem = undefined;
    this.changed();
    this.again();
  }

  /** Forgets all films, which another caller may not see. */
  clear(): void {
    this.rows = [];
    this.total = this.reachable = 0;
    this.facets = [];
    this.index();
  }

  /** Returns the position of a film, or -1 if no page with it has arrived. */
  position(id: string): number {
    return this.positions.get(id) ?? -1;
  }

  /** Whether the film is known to be deleted. */
  isDeleted(id: string): boolean {
    return this.changes.has(id) && !this.changes.get(id);
  }

  /** Puts another version of a film in its place. Returns whether the film is in the list. */
  replace(movie: Movie): boolean {
    this.changes.set(movie.id, movie);
    const at = this.position(movie.id);
    const row = this.rows[at];
    if (row?.movie.etag === movie.etag && movie.etag !== "") return true;
    if (!row) return false;
    this.rows[at] = { movie, highlights: [] };
    this.flash(movie.id);
    return true;
  }

  /** Marks a film as changed a moment ago. */
  flash(id: string): void {
    this.flashes.set(id, (this.flashes.get(id) ?? 0) + 1);
    clearTimeout(this.flashTimers.get(id));
    const end = () => {
      this.flashes.delete(id);
      this.flashTimers.delete(id);
      this.changed();
    };
    this.flashTimers.set(id, setTimeout(end, FLASH_MS));
    this.changed();
  }

  /** Takes a film out. Returns its title if it was in the list. */
  remove(id: string): string | undefined {
    this.changes.set(id, undefined);
    const at = this.position(id);
    const row = this.rows[at];
    if (!row) return undefined;
    this.rows.splice(at, 1);
    this.total -= 1;
    this.reachable -= 1;
    this.index();
    this.changed();
    return row.movie.title;
  }

  /** Applies the changes since the first page was asked for to a page, which does not show them. */
  private updated({ rows }: ResultPage): Row[] {
    return rows.flatMap((row) => {
      const { id, etag } = row.movie;
      if (!this.changes.has(id)) return [row];
      const movie = this.changes.get(id);
      if (!movie) return [];
      return [movie.etag === etag ? row : { movie, highlights: [] }];
    });
  }

  private async load(size: number): Promise<void> {
    this.running.abort();
    const running = new AbortController();
    this.running = running;
    this.loading = true;
    this.problem = undefined;
    this.next = "";
    this.revision = undefined;
    this.changes.clear();
    this.changed();
    try {
      const words = this.query.words.trim();
      const searches = words !== "" && !this.searchIsOff;
      this.source = searches ? searchSource(this.stub, this.query) : listSource(this.stub, this.query, words);
      if (!searches && !this.searchIsOff) void this.count(running.signal);
      this.first(await this.source.getPage("", size, running.signal));
    } catch (error) {
      if (running.signal.aborted || isAbort(error)) return;
      const problem = toProblem(error);
      if (problem.reason === "SEARCH_OFF" && !this.searchIsOff) {
        this.searchIsOff = true;
        return this.load(size);
      }
      this.loading = false;
      this.failed(problem, () => void this.reload());
    }
  }

  private failed(problem: Problem, again: () => void): void {
    this.problem = problem;
    this.again = again;
    this.changed();
  }

  private first(page: ResultPage): void {
    this.loading = false;
    this.wanted = 0;
    this.rows = this.updated(page);
    this.next = page.next;
    this.total = page.total - (page.rows.length - this.rows.length);
    this.reachable = this.next === "" ? this.rows.length : Math.min(this.total, this.source.limit);
    this.hasMatches = this.source.limit === SEARCH_LIMIT;
    if (page.facets) this.facets = page.facets;
    if (page.revision !== undefined) this.revision = page.revision;
    this.index();
    this.changed();
    this.dispatchEvent(new Event("loaded"));
  }

  /** Counts the facets beside the list, which is shown without waiting for them. */
  private async count(signal: AbortSignal): Promise<void> {
    try {
      const { facets, revision } = await countFacets(this.stub, this.query, signal);
      this.facets = facets;
      this.revision = revision;
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      const problem = toProblem(error);
      // A failure of the service itself is told by the list, whose call fails as well.
      if (problem.reason === "SEARCH_OFF") this.searchIsOff = true;
      else if (!this.problem) this.failed(problem, () => void this.count(signal));
    }
    this.changed();
  }

  /** Gets pages, one after the other, until the wanted films are there. */
  private async pump(): Promise<void> {
    this.pumping = true;
    const { source, running } = this;
    try {
      while (this.next !== "" && this.rows.length < this.wanted) {
        const size = Math.min(Math.max(this.wanted - this.rows.length, MIN_PAGE_SIZE), source.maxPageSize);
        const page = await source.getPage(this.next, size, running.signal);
        if (running !== this.running) break;
        this.append(page);
      }
    } catch (error) {
      if (running === this.running && !isAbort(error)) this.failedPage(toProblem(error));
    } finally {
      this.pumping = false;
    }
    if (running !== this.running && !this.loading && this.rows.length < this.wanted) void this.pump();
  }

  private append(page: ResultPage): void {
    const rows = this.updated(page);
    for (const row of rows) {
      this.positions.set(row.movie.id, this.rows.length);
      this.rows.push(row);
    }
    const deleted = page.rows.length - rows.length;
    this.total -= deleted;
    this.reachable -= deleted;
    this.next = page.next;
    if (this.next === "" || this.rows.length >= this.source.limit) this.reachable = this.rows.length;
    this.changed();
  }

  private failedPage(problem: Problem): void {
    if (problem.reason === "PAGE_TOKEN_EXPIRED") void this.reload();
    else this.failed(problem, () => void this.pump());
  }

  private index(): void {
    this.positions = new Map(this.rows.map(({ movie }, at) => [movie.id, at]));
  }

  private changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}
