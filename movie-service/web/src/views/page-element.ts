import { LitElement } from "lit";
import { languageChanges } from "../text";

/** An element of the page: it is rendered again when the language changes. */
export class PageElement extends LitElement {
  private readonly onLanguage = () => this.requestUpdate();

  override connectedCallback(): void {
    super.connectedCallback();
    languageChanges.addEventListener("change", this.onLanguage);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    languageChanges.removeEventListener("change", this.onLanguage);
  }
}
