import { css, html, nothing } from "lit";
import { customElement, property, query } from "lit/decorators.js";
import type { FilmList } from "../state/film-list";
import type { Navigation } from "../state/navigation";
import { base } from "../style/base.css";
import { t } from "../text";
import { icon } from "./icons";
import { PageElement } from "./page-element";

/** The words to search for. Each key searches; Enter shows the best film, the down arrow goes to the films. */
@customElement("search-box")
export class SearchBox extends PageElement {
  static override styles = [
    base,
    css`
      :host { display: block; position: relative; }
      input {
        width: 100%; height: 44px; padding: 0 48px 0 46px; border: 1px solid var(--control-line); border-radius: 999px;
        background: var(--ground); font-size: 1.05rem; appearance: none;
      }
      input::placeholder { color: var(--ink-soft); opacity: 1; }
      input::-webkit-search-cancel-button { display: none; }
      input:focus-visible { border-radius: 999px; outline-offset: 0; background: var(--surface); }
      .glass { position: absolute; left: 15px; top: 11px; width: 22px; height: 22px; color: var(--ink-soft); pointer-events: none; }
      .glass svg { fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; }
      .clear, kbd { position: absolute; right: 6px; top: 6px; }
      .clear { min-height: 32px; width: 32px; }
      kbd {
        right: 14px; top: 10px; min-width: 24px; padding: 0 7px; border: 1px solid var(--line); border-radius: 6px; color: var(--ink-soft); background: var(--surface);
        font: 600 0.8rem/22px ui-monospace, monospace; text-align: center; pointer-events: none;
      }
      :host(:focus-within) kbd { display: none; }
      @media (hover: none) { kbd { display: none; } }
      .moving { position: absolute; inset: auto 22px -1px; height: 2px; overflow: hidden; }
      .moving::before { content: ""; position: absolute; inset: 0; background: var(--accent); animation: move 900ms 300ms ease-in-out infinite backwards; }
      @keyframes move { from { transform: translateX(-100%); } to { transform: translateX(100%); } }
    `,
  ];

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
        this.dispatchEvent(new Event("enter-list", { bubbles: true, composed: true }));
        break;
      case "Enter":
        this.dispatchEvent(new Event("show-best", { bubbles: true, composed: true }));
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
