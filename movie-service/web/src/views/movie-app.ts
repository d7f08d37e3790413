import { html, LitElement } from "lit";
import { customElement } from "lit/decorators.js";

/** The page of the movie service. */
@customElement("movie-app")
export class MovieApp extends LitElement {
  override render() {
    return html`<h1>Films</h1>`;
  }
}
