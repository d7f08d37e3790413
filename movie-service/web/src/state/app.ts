import type { Movie } from "../gen/movie/catalog/v1/catalog_pb";
import { type CatalogStub, type CourseStub, createCatalogStub, createCourseStub } from "../service/calls";
import { sentence, toProblem } from "../service/errors";
import { Session } from "../service/session";
import { createTransport, isServing } from "../service/transport";
import { currentLanguage, hasTexts, languageChanges, preferredLanguage, setLanguage, t } from "../text";
import { CallLog, recordingFetch } from "../wire/recorder";
import { CatalogInfo } from "./catalog";
import { FIELD_NAMES } from "./draft";
import { Editor, requestId } from "./editor";
import { ShownFilm } from "./film";
import { FilmList } from "./film-list";
import { Navigation } from "./navigation";
import { Notices } from "./notices";
import { type FilmQuery, sameQuery } from "./url";
import { Watch } from "./watch";

const SPEAK_AFTER_MS = 700;

/** The parts of the page's state, and how a change of one changes the others. Dispatches "change". */
export class App extends EventTarget {
  readonly session = new Session();
  readonly log = new CallLog();
  readonly navigation = new Navigation();
  readonly notices = new Notices();
  readonly stub: CatalogStub;
  readonly course: CourseStub;
  readonly list: FilmList;
  readonly film: ShownFilm;
  readonly catalog: CatalogInfo;
  readonly watch: Watch;
  /** The forms with unsaved texts, and the open one, by the id of the film; empty for a new film. */
  readonly editors = new Map<string, Editor>();
  /** The changes elsewhere that the list may not show. */
  missed = 0;

  /** The revision from which changes are told; `undefined` if the list is known to be as new. */
  private watchedFrom: bigint | undefined;
  private wasCut = false;
  private shownQuery: FilmQuery | undefined;
  /** The query whose best film is shown as soon as it is found. */
  private bestOf: FilmQuery | undefined;
  private speakTimer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    addEventListener("error", (event) => this.failed(event.error ?? event.message));
    addEventListener("unhandledrejection", (event) => this.failed(event.reason));
    const transport = createTransport(this.session, recordingFetch(this.log, fetch.bind(globalThis)));
    this.stub = createCatalogStub(transport);
    this.course = createCourseStub(transport);
    this.list = new FilmList(this.stub);
    this.film = new ShownFilm(this.stub);
    this.catalog = new CatalogInfo(this.stub, isServing);
    const open = (token: string | undefined, signal: AbortSignal) =>
      this.stub.watchMovies({ start: token ? { case: "resumeToken", value: token } : { case: undefined } }, { signal });
    this.watch = new Watch(open, {
      upserted: (movie) => this.upserted(movie),
      deleted: (id) => this.removed(id),
      startedAnew: (revision, lostHistory) => this.startedAnew(revision, lostHistory),
    });
  }

  /** Shows the state of the address, and follows the changes. */
  start(): void {
    // A watch may be cut off without knowing it. Calls that failed meanwhile are repeated once it is live.
    addEventListener("online", () => {
      this.watch.stop();
      if (!document.hidden) this.watch.start();
    });
    // A hidden page holds no connection: browsers open only six to one host over HTTP/1.1.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.watch.stop() : this.watch.start()));
    this.navigation.addEventListener("change", () => this.follow());
    this.session.addEventListener("change", () => this.callerChanged());
    this.list.addEventListener("loaded", () => {
      this.setMissed(0);
      this.speakCount();
    });
    this.list.addEventListener("change", () => {
      this.readMissed();
      if (this.bestOf && !this.list.loading) this.showBest();
    });
    this.watch.addEventListener("change", () => this.watchChanged());
    this.follow();
    void this.catalog.load();
    if (!document.hidden) this.watch.start();
  }

  /** Shows the current state of the address. */
  private follow(): void {
    const { state } = this.navigation;
    setLanguage(state.lang || preferredLanguage(navigator.languages)).catch((error) => this.languageFailed(error));
    if (!this.shownQuery || !sameQuery(this.shownQuery, state)) {
      this.shownQuery = state;
      void this.list.show(state);
    }
    if (state.film !== this.film.id) {
      const row = this.list.rows[this.list.position(state.film)];
      void this.film.show(state.film, row?.movie);
    }
  }

  /** Says why the texts did not come, and keeps the language. */
  private languageFailed(error: Error): void {
    if (hasTexts()) {
      this.failed(error);
      this.navigation.go({ lang: currentLanguage() }, "replace");
    } else {
      // Without the file of texts, this is the one sentence that the page can say.
      document.body.replaceChildren(`This page failed to start: ${error.message}`);
    }
  }

  /** Shows the best film of the query, once it is found. */
  showBest(): void {
    const { list, navigation } = this;
    const { state } = navigation;
    if (list.loading) {
      this.bestOf = state;
      return;
    }
    const isWanted = !list.problem && (!this.bestOf || sameQuery(this.bestOf, state));
    this.bestOf = undefined;
    const best = list.rows[0];
    if (isWanted && best) navigation.go({ film: best.movie.id, edit: false });
  }

  /** Returns the form that the address asks for, if the film is known and the caller may write. Drops forms without changes. */
  openEditor(): Editor | undefined {
    const { film, edit } = this.navigation.state;
    const movie = film === "" ? undefined : this.film.movie;
    for (const [id, editor] of this.editors) {
      const isOutdated = !edit || id !== film || editor.movie?.etag !== movie?.etag;
      if (isOutdated && !editor.isDirty && !editor.saving) this.editors.delete(id);
    }
    if (!edit || !this.catalog.canWrite || (film !== "" && movie?.id !== film)) return undefined;
    if (!this.editors.has(film)) this.editors.set(film, new Editor(this.stub, movie));
    return this.editors.get(film);
  }

  /** Drops a form with its texts. */
  forget(editor: Editor): void {
    const id = editor.movie?.id ?? "";
    if (this.editors.get(id) === editor) this.editors.delete(id);
  }

  /** Reads everything again as another caller, who may not see the same films. */
  private callerChanged(): void {
    this.catalog.clear();
    this.list.clear();
    void this.catalog.load();
    void this.list.reload();
    void this.film.show(this.film.id);
    this.watch.restart();
  }

  /** Gets the films again. */
  reload(): void {
    void this.list.reload();
    if (this.film.id) void this.film.reload();
  }

  /** Reads the catalogue again, which may have changed before the watch began. */
  private startedAnew(revision: bigint, lostHistory: boolean): void {
    const { catalog } = this.catalog;
    if (lostHistory || (catalog && catalog.revision < revision)) void this.catalog.load();
    if (lostHistory) {
      this.reload();
    } else {
      this.watchedFrom = revision;
      this.readMissed();
    }
  }

  /** Reads the films again if the list is older than the watch, once for each watch. */
  private readMissed(): void {
    const { loading, revision, searchIsOff } = this.list;
    // Without search, no response has the revision of the list.
    if (this.watchedFrom === undefined || loading || (revision === undefined && !searchIsOff)) return;
    const isOlder = revision === undefined || revision < this.watchedFrom;
    this.watchedFrom = undefined;
    if (isOlder) this.reload();
  }

  private watchChanged(): void {
    const { state } = this.watch;
    if (this.watch.failures === 2) this.notices.say(() => t().live.cut);
    if (state === "live" && this.wasCut) this.notices.say(() => t().live.back);
    this.wasCut = state === "live" ? false : this.wasCut || this.watch.failures >= 2;
    if (state !== "live") return;
    if (this.list.problem) this.list.retry();
    if (this.film.problem) void this.film.reload();
    if (this.catalog.problem) void this.catalog.load();
    if (this.catalog.health !== "unknown") void this.catalog.check();
  }

  private upserted(movie: Movie): void {
    this.catalog.changed();
    const isShown = movie.id === this.film.id;
    const known = isShown ? this.film.movie : this.list.rows[this.list.position(movie.id)]?.movie;
    this.film.replace(movie);
    const isListed = this.list.replace(movie);
    // The watch also tells of the films that this page saved, which it shows already.
    if (movie.etag !== "" && known?.etag === movie.etag) return;
    if (isShown && !isListed) this.list.flash(movie.id);
    if (isListed || isShown) this.notices.say(() => t().live.changed(movie.title));
    else this.setMissed(this.missed + 1);
  }

  private setMissed(changes: number): void {
    this.missed = changes;
    this.dispatchEvent(new Event("change"));
  }

  private removed(id: string): void {
    this.catalog.changed();
    if (this.list.isDeleted(id)) return;
    this.film.remove(id);
    const title = this.list.remove(id);
    if (title !== undefined) this.notices.say(() => t().live.deleted(title));
    else if (this.list.rows.length < this.list.total) this.setMissed(this.missed + 1);
  }

  /** Shows a film that this caller saved, before the watch tells of it. */
  saved(movie: Movie, editor: Editor): void {
    const isNew = editor.movie === undefined;
    this.forget(editor);
    this.film.replace(movie);
    this.list.replace(movie);
    const { film, edit } = this.navigation.state;
    // The person may have gone on to another film meanwhile.
    if (edit && film === (editor.movie?.id ?? "")) this.navigation.go({ film: movie.id, edit: false }, "replace");
    this.notices.show("done", isNew ? t().form.added(movie.title) : t().form.saved(movie.title));
    if (isNew) this.reload();
  }

  /** Deletes a film. The notice that follows offers to add it again. */
  async delete(movie: Movie): Promise<void> {
    try {
      await this.stub.deleteMovie({ id: movie.id, etag: movie.etag });
    } catch (error) {
      const problem = toProblem(error);
      this.notices.show("error", sentence(problem));
      if (problem.reason === "ETAG_STALE") void this.film.reload();
      return;
    }
    this.list.remove(movie.id);
    this.editors.delete(movie.id);
    if (this.film.id === movie.id) this.navigation.go({ film: "", edit: false });
    const requested = requestId();
    this.notices.show("done", t().film.wasDeleted(movie.title), {
      label: t().film.undo,
      run: () => void this.restore(movie, requested),
    });
  }

  private async restore(movie: Movie, requested: string): Promise<void> {
    try {
      const fields = Object.fromEntries(FIELD_NAMES.map((field) => [field, movie[field]]));
      const restored = await this.stub.createMovie({ movie: { ...fields, id: movie.id }, requestId: requested });
      this.notices.show("done", t().film.restored(restored.title));
      this.navigation.go({ film: restored.id, edit: false });
      this.reload();
    } catch (error) {
      this.notices.show("error", sentence(toProblem(error)), {
        label: t().app.retry,
        run: () => void this.restore(movie, requested),
      });
    }
  }

  /** Says how many films there are, once the person has stopped typing. */
  private speakCount(): void {
    clearTimeout(this.speakTimer);
    this.speakTimer = setTimeout(() => this.notices.say(() => t().list.count(this.list.total)), SPEAK_AFTER_MS);
  }

  /** Shows an error of the page itself. */
  private failed(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    // The browser reports a layout that takes more than one frame as an error, which it is not.
    if (message.startsWith("ResizeObserver loop")) return;
    if (hasTexts()) this.notices.show("error", t().errors.page(message));
    else languageChanges.addEventListener("change", () => this.failed(error), { once: true });
  }
}

