import { css, html } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Page } from "../state/page";
import { base } from "../style/base.css";
import { t } from "../text";
import "./film-filters";
import { icon } from "./icons";
import { Modal, modalStyle } from "./modal";

/** The filters in a dialog, where there is no room for them beside the films. */
@customElement("filter-drawer")
export class FilterDrawer extends Modal {
  static override styles = [
    base,
    modalStyle,
    css`
      dialog { inset: 0 auto 0 0; margin: 0; width: min(360px, 88vw); height: 100%; max-height: none; border-radius: 0 16px 16px 0; border-width: 0 1px 0 0; }
      .dialog-head, .done { position: sticky; z-index: 1; background: var(--raised); }
      .dialog-head { top: 0; padding-bottom: 12px; }
      .done { bottom: 0; padding: 12px 22px; border-top: 1px solid var(--line); }
      .done .button { width: 100%; }
    `,
  ];

  @property({ attribute: false }) page!: Page;

  protected override observed() {
    return [this.page.list];
  }

  override render() {
    return html`<dialog aria-labelledby="title" @close=${this.closed} @click=${this.clicked}>
      <div class="dialog-head">
        <h2 id="title">${t().filters.title}</h2>
        <button class="button plain icon" type="button" aria-label=${t().app.close} @click=${this.closed}>${icon("close")}</button>
      </div>
      <div class="dialog-body"><film-filters .list=${this.page.list} .navigation=${this.page.navigation}></film-filters></div>
      <div class="done"><button class="button primary" type="button" @click=${this.closed}>${t().filters.show} (${t().list.count(this.page.list.total)})</button></div>
    </dialog>`;
  }
}
