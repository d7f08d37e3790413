import type { Movie } from "../gen/movie/catalog/v1/catalog_pb";
import type { CatalogStub } from "../service/calls";
import { type Problem, toProblem } from "../service/errors";
import { changedFields, type Draft, draftOf, type Field, FIELD_NAMES, fieldOf, malformedFields, movieOf, protoName } from "./draft";

/** Another version of the film, which was saved while this one was edited. */
interface Conflict {
  readonly theirs: Movie;
  /** The fields in which both versions differ. */
  readonly fields: readonly Field[];
}

/** The outcome of a submit. */
export type Outcome = { readonly saved: Movie } | "unchanged" | "failed";

/** The form of a film: its texts, their violations, and the submit. Dispatches "change". */
export class Editor extends EventTarget {
  draft: Draft;
  /** The id that the person chose for a new film; empty for one that the service makes. */
  newId = "";
  saving = false;
  /** The violations by field: the text of the service, or `undefined` for a text that is no number. */
  readonly violations = new Map<Field | "id", string | undefined>();
  /** The error of the last submit, if it is not about fields. */
  problem: Problem | undefined;
  conflict: Conflict | undefined;

  private readonly before: Draft;
  private etag: string;
  /** All submits of a new film have the same id, so that they make one film, even if the outcome of one is unknown. */
  private request = requestId();

  constructor(
    private readonly stub: CatalogStub,
    readonly movie?: Movie,
  ) {
    super();
    this.draft = draftOf(movie);
    this.before = { ...this.draft };
    this.etag = movie?.etag ?? "";
  }

  /** The fields that were changed. */
  get changedFields(): Field[] {
    return changedFields(this.before, this.draft);
  }

  /** Whether something was typed that is not saved. */
  get isDirty(): boolean {
    return this.newId !== "" || this.changedFields.length > 0;
  }

  /** Sets the text of a field. */
  type(field: Field | "id", text: string): void {
    if (field === "id") this.newId = text;
    else this.draft[field] = text;
    if (this.violations.delete(field)) this.changed();
  }

  /** Saves all fields of a new film, or only the changed ones. */
  async submit(): Promise<Outcome> {
    if (this.saving) return "failed";
    this.violations.clear();
    this.problem = undefined;
    const fields = this.movie ? changedFields(this.before, this.draft) : FIELD_NAMES;
    if (fields.length === 0) return this.done("unchanged");
    this.saving = true;
    this.changed();
    try {
      const saved = await (this.movie ? this.update(this.movie.id, fields) : this.create());
      return this.done({ saved });
    } catch (error) {
      await this.failed(toProblem(error));
      return this.done("failed");
    }
  }

  /** Settles a conflict: the person has chosen between the versions of each field, and saves again. */
  settle(mine: ReadonlySet<Field>): Promise<Outcome> {
    const { conflict } = this;
    if (!conflict) return Promise.resolve("failed");
    const theirs = draftOf(conflict.theirs);
    for (const field of FIELD_NAMES) {
      if (!mine.has(field)) this.draft[field] = theirs[field];
      this.before[field] = theirs[field];
    }
    this.etag = conflict.theirs.etag;
    this.conflict = undefined;
    return this.submit();
  }

  private update(id: string, fields: readonly Field[]): Promise<Movie> {
    const movie = { ...movieOf(this.draft, fields), id, etag: this.etag };
    return this.stub.updateMovie({ movie, updateMask: { paths: fields.map(protoName) } });
  }

  private create(): Promise<Movie> {
    const movie = { ...movieOf(this.draft, FIELD_NAMES), id: this.newId };
    return this.stub.createMovie({ movie, requestId: this.request });
  }

  private async failed(problem: Problem): Promise<void> {
    if (problem.reason === "ETAG_STALE" && this.movie) {
      try {
        const theirs = await this.stub.getMovie({ id: this.movie.id });
        this.conflict = { theirs, fields: changedFields(draftOf(theirs), this.draft) };
      } catch (error) {
        this.problem = toProblem(error);
      }
      return;
    }
    // An earlier attempt has made its film. The person is told, and may add another one.
    if (problem.reason === "REQUEST_ID_REUSED") this.request = requestId();
    // The service refuses texts that are no numbers with all other violations, at once.
    for (const { field, description } of problem.violations) {
      const known = field.replace(/^movie\./, "") === "id" ? "id" : fieldOf(field);
      if (known) this.violations.set(known, description);
    }
    for (const field of malformedFields(this.draft)) this.violations.set(field, undefined);
    // A violation without a field in the form is told with the service's own sentence.
    if (this.violations.size < problem.violations.length || problem.violations.length === 0) this.problem = problem;
  }

  private done(outcome: Outcome): Outcome {
    this.saving = false;
    this.changed();
    return outcome;
  }

  private changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}

/** Returns a random UUID. `crypto.randomUUID` is missing on pages that came without TLS from another machine. */
export function requestId(): string {
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-8$4-$5");
}
