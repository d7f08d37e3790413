import { css, html, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { Notice, Notices } from "../state/notices";
import { base } from "../style/base.css";
import { t } from "../text";
import { icon } from "./icons";
import { PageElement } from "./page-element";

/** The messages to the person. Screen readers say them, and what else changes on the page. */
@customElement("page-notices")
export class PageNotices extends PageElement {
  static override styles = [
    base,
    css`
      :host { position: fixed; z-index: 30; left: 0; right: 0; bottom: calc(16px + var(--wire-height)); display: grid; justify-items: center; pointer-events: none; padding: 0 12px; }
      [role="log"] { display: grid; gap: 10px; max-width: min(620px, 100%); }
      .notice { display: flex; align-items: center; gap: 8px; padding: 6px 8px 6px 18px; border-radius: 14px; background: var(--ink); color: var(--ground); box-shadow: var(--shadow-high); pointer-events: auto; animation: rise 180ms ease-out; }
      .notice.error { background: var(--bad-soft); color: var(--bad); border: 1px solid currentColor; }
      p { flex: 1; overflow-wrap: anywhere; }
      .button { background: transparent; border-color: transparent; color: inherit; }
      .button:hover { background: #8883; }
      .action { text-decoration: underline; }
      :focus-visible { outline-color: currentColor; }
      @keyframes rise { from { transform: translateY(16px); opacity: 0; } }
      @media print { :host { display: none; } }
    `,
  ];

  @property({ attribute: false }) notices!: Notices;

  protected override observed() {
    return [this.notices];
  }

  override render() {
    const { notices, spoken } = this.notices;
    return html`
      <p class="hidden-text" role="status">${spoken}</p>
      <div role="log" aria-label=${t().app.notices}>${repeat(notices, ({ id }) => id, (notice) => this.notice(notice))}</div>
    `;
  }

  private notice({ id, kind, text, action }: Notice) {
    const run = () => {
      this.notices.dismiss(id);
      action?.run();
    };
    return html`<div class="notice ${kind}" role=${kind === "error" ? "alert" : nothing}>
      <p>${text}</p>
      ${action ? html`<button class="button action" type="button" @click=${run}>${action.label}</button>` : nothing}
      <button class="button icon" type="button" aria-label=${t().app.dismiss} @click=${() => this.notices.dismiss(id)}>${icon("close")}</button>
    </div>`;
  }
}
