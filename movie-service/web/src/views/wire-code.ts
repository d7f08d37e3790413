import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { t } from "../text";
import type { Call } from "../wire/call";
import { type Language, LANGUAGES, snippet } from "../wire/snippets";
import { LightElement } from "./light-element";

/** How long the button says that the text was copied. */
const COPIED_MS = 2000;

/** A call as a command or a program, to copy. */
@customElement("wire-code")
export class WireCode extends LightElement {
  @property({ attribute: false }) call!: Call;
  @state() private language: Language = "curl";
  /** What the button says: how copying went. */
  @state() private said: "copy" | "copied" | "copyFailed" = "copy";

  override render() {
    const texts = t().wire;
    return html`
      <div class="choice" role="group" aria-label=${texts.sameCall}>
        ${LANGUAGES.map(
          (language) => html`<button
            type="button" class="button small" aria-pressed=${language === this.language} @click=${() => (this.language = language)}
          >${language}</button>`,
        )}
        <button type="button" class="button small copy" @click=${this.copy}><span aria-live="polite">${texts[this.said]}</span></button>
      </div>
      <pre tabindex="0" aria-label=${this.language}>${snippet(this.language, this.call)}</pre>
      ${this.call.authorized ? html`<p class="soft">${texts.token}</p>` : nothing}
    `;
  }

  private async copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(snippet(this.language, this.call));
      this.said = "copied";
    } catch {
      // Without a secure connection there is no clipboard: the text is selected, to be copied by hand.
      getSelection()?.selectAllChildren(this.querySelector("pre")!);
      this.said = "copyFailed";
    }
    setTimeout(() => (this.said = "copy"), COPIED_MS);
  }
}
