import { html, nothing } from "lit";
import { customElement, property, query } from "lit/decorators.js";
import type { FilmList } from "../../state/film-list";
import type { Navigation } from "../../state/navigation";
import { t } from "../../text";
import { icon } from "../icons";
import { LightElement } from "../light-element";

/** The words to search for. Each key searches; Enter shows the best film, the down arrow goes to the films. */
@customElement("search-box")
export class SearchBox extends LightElement {
  @property({ attribute: false }) list!: FilmList;
  @property({ attribute: false }) navigation!: Navigation;
  @query("input") private input!: HTMLInputElement;

  protected override observed() {
    return [this.list, this.navigation];
  }

  override focus(): void {
    this.input?.focus();
    this.input?.select();
  }

  protected override firstUpdated(): void {
    // A phone would cover half of the films with its keyboard.
    if (matchMedia("(hover: hover)").matches && !this.navigation.state.film) this.input.focus({ preventScroll: true });
  }

  private clear(): void {
    this.navigation.go({ words: "" }, "typing");
    this.navigation.settle();
    this.input.focus();
  }

  private onKey(event: KeyboardEvent): void {
    if (event.isComposing) return;
    switch (event.key) {
      case "Escape":
        if (this.input.value === "") this.input.blur();
        else this.clear();
        break;
      case "ArrowDown":
        this.dispatchEvent(new Event("enter-list", { bubbles: true }));
        break;
      case "Enter":
        this.navigation.settle();
        this.dispatchEvent(new Event("show-best", { bubbles: true }));
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  override render() {
    const { words } = this.navigation.state;
    return html`
      <span class="glass">${icon("search")}</span>
      <input
        type="search" .value=${words} placeholder=${t().search.placeholder} aria-label=${t().search.label} aria-keyshortcuts="/"
        maxlength="1000" autocomplete="off" autocapitalize="off" spellcheck="false" enterkeyhint="search" dir="auto"
        @input=${() => this.navigation.go({ words: this.input.value }, "typing")}
        @change=${() => this.navigation.settle()} @keydown=${this.onKey}
      >
      ${words === ""
        ? html`<kbd aria-hidden="true">/</kbd>`
        : html`<button class="button plain icon clear" type="button" aria-label=${t().search.clear} title=${t().search.clear} @click=${this.clear}>${icon("close")}</button>`}
      ${this.list.loading ? html`<span class="moving"></span>` : nothing}
    `;
  }
}
