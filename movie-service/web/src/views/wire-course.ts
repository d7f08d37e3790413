import { html } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { CourseStub } from "../service/calls";
import { sentence, toProblem } from "../service/errors";
import { t } from "../text";
import { LightElement } from "./light-element";

/** A movie of `databases/movies.json`, the one that the course asks for. */
const COURSE_ID = "a8034f44-aee4-44cf-b32c-74cf452aaaae";

/** The two calls of the course, and the meaning of the course's names in this page. Dispatches "made" after a call. */
@customElement("wire-course")
export class WireCourse extends LightElement {
  @property({ attribute: false }) stub!: CourseStub;
  @state() private movieId = COURSE_ID;
  /** The outcome of the last call. */
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
    const { href, host } = new URL(".", document.baseURI);
    const row = (name: string, text: string, there: string, here: string) => html`
      <dt class="code">${name}</dt>
      <dd>${text}<br>${texts.courseThere} <code>${there}</code><br>${texts.courseHere} <code>${here}</code></dd>
    `;
    return html`<dl>
      ${row("channel", texts.channel, `grpc.insecure_channel("${host}")`, `createGrpcWebTransport({ baseUrl: "${href}" })`)}
      ${row("stub", texts.stub, "MovieStub(channel)", "createClient(Movie, transport)")}
      ${row("servicer", texts.servicer, "class MovieServicer", "impl Movie for MovieServicer")}
    </dl>`;
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
      return t().wire.courseCount(count);
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
      result = sentence(toProblem(error));
    }
    if (this.making === running) this.result = result;
  }
}
