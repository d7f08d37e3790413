import { html } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { App } from "../../state/app";
import { t } from "../../text";
import "../list/film-filters";
import { icon } from "../icons";
import { Modal } from "./modal";

/** The filters in a dialog, where there is no room for them beside the films. */
@customElement("filter-drawer")
export class FilterDrawer extends Modal {
  @property({ attribute: false }) app!: App;

  protected override observed() {
    return [this.app.list];
  }

  override render() {
    return html`<dialog aria-labelledby="filters-title" @close=${this.closed} @click=${this.clicked}>
      <div class="dialog-head">
        <h2 id="filters-title">${t().filters.title}</h2>
        <button class="button plain icon" type="button" aria-label=${t().app.close} @click=${this.closed}>${icon("close")}</button>
      </div>
      <div class="dialog-body"><film-filters .list=${this.app.list} .navigation=${this.app.navigation}></film-filters></div>
      <div class="done"><button class="button primary" type="button" @click=${this.closed}>${t().filters.show} (${t().list.count(this.app.list.total)})</button></div>
    </dialog>`;
  }
}
