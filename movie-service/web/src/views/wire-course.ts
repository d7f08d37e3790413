import { css, html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { ConnectError } from "@connectrpc/connect";
import type { CourseStub } from "../service/calls";
import { base } from "../style/base.css";
import { formatNumber, t } from "../text";
import { target } from "../wire/call";
import { PageElement } from "./page-element";
import { wireStyle } from "./wire-style";

/** A movie of `databases/movies.json`, the one that the course asks for. */
const COURSE_ID = "a8034f44-aee4-44cf-b32c-74cf452aaaae";

/** The two calls of the course, and what the course's names stand for in this page. Dispatches "made" after a call. */
@customElement("wire-course")
export class WireCourse extends PageElement {
  static override styles = [
    base,
    wireStyle,
    css`
      :host { display: block; }
      form { display: flex; flex-wrap: wrap; gap: 8px; align-items: end; margin: 10px 0; }
      label { flex: 1 1 260px; font-size: 0.9rem; }
      .input { min-height: 40px; }
      table { width: 100%; margin-top: 12px; border-collapse: collapse; font-size: 0.9rem; }
      th, td { padding: 6px 12px 6px 0; border-top: 1px solid var(--line); text-align: start; vertical-align: top; overflow-wrap: anywhere; }
      code { display: block; }
      @media (max-width: 560px) {
        table, tbody, tr, th, td { display: block; }
        thead { display: none; }
        td { border: 0; padding-top: 0; }
      }
    `,
  ];

  @property({ attribute: false }) stub!: CourseStub;
  @state() private movieId = COURSE_ID;
  /** What came of the last call. */
  @state() private result = "";
  private making?: AbortController;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.making?.abort();
  }

  override render() {
    const texts = t().wire;
    return html`
      <p class="soft">${texts.courseIntro}</p>
      <form @submit=${this.get}>
        <label>${texts.courseId}
          <input class="input code" .value=${this.movieId} spellcheck="false" autocomplete="off" @input=${(event: Event) => (this.movieId = (event.target as HTMLInputElement).value)}>
        </label>
        <button class="button">GetMovieByID</button>
        <button type="button" class="button" @click=${this.list}>GetListMovies</button>
      </form>
      <p role="status">${this.result}</p>
      ${this.names()}
    `;
  }

  private names() {
    const texts = t().wire;
    const base = new URL(".", document.baseURI);
    const host = target(base);
    const row = (name: string, there: string, text: string, here: string) => html`<tr>
      <th scope="row" class="code">${name}</th>
      <td><code>${there}</code></td>
      <td>${text} ${here ? html`<code>${here}</code>` : nothing}</td>
    </tr>`;
    return html`<table>
      <thead><tr><th scope="col">${texts.courseName}</th><th scope="col">${texts.courseThere}</th><th scope="col">${texts.courseHere}</th></tr></thead>
      <tbody>
        ${row("channel", `grpc.insecure_channel("${host}")`, texts.channel, `createGrpcWebTransport({ baseUrl: "${base.href}" })`)}
        ${row("stub", "MovieStub(channel)", texts.stub, "createClient(Movie, transport)")}
        ${row("servicer", "class MovieServicer", texts.servicer, "impl movie_server::Movie for MovieServicer")}
        ${row("GetMovieByID", `stub.GetMovieByID(MovieID(id="…"))`, texts.path, "POST /Movie/GetMovieByID")}
        ${row("GetListMovies", "stub.GetListMovies(Empty())", texts.path, "POST /Movie/GetListMovies")}
      </tbody>
    </table>`;
  }

  private get(event: Event): void {
    event.preventDefault();
    void this.make(async (signal) => {
      const movie = await this.stub.getMovieByID({ id: this.movieId }, { signal });
      return movie.id ? t().wire.courseMovie(movie.title) : t().wire.courseEmpty;
    });
  }

  private list(): void {
    void this.make(async (signal) => {
      let count = 0;
      for await (const _ of this.stub.getListMovies({}, { signal })) count++;
      return t().wire.courseCount(formatNumber(count));
    });
  }

  /** Makes a call; one that is still running is cancelled. */
  private async make(call: (signal: AbortSignal) => Promise<string>): Promise<void> {
    this.making?.abort();
    const running = new AbortController();
    this.making = running;
    this.dispatchEvent(new Event("made"));
    let result: string;
    try {
      result = await call(running.signal);
    } catch (error) {
      result = ConnectError.from(error).message;
    }
    if (this.making === running) this.result = result;
  }
}
