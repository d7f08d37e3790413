import { html, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { Notice, Notices } from "../state/notices";
import { t } from "../text";
import { icon } from "./icons";
import { LightElement } from "./light-element";

/** The messages to the person. Screen readers say them, and other changes of the page. */
@customElement("page-notices")
export class PageNotices extends LightElement {
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
