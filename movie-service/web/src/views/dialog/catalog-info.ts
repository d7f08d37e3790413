import { html, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import { sentence } from "../../service/errors";
import type { App } from "../../state/app";
import { formatNumber, t } from "../../text";
import { icon } from "../icons";
import { Modal } from "./modal";

/** The catalogue as a whole, the health of the service, and how live the page is. */
@customElement("catalog-info")
export class CatalogInfoView extends Modal {
  @property({ attribute: false }) app!: App;

  protected override observed() {
    return [this.app.catalog, this.app.watch];
  }

  protected override updated(changes: Map<PropertyKey, unknown>): void {
    super.updated(changes);
    if (changes.has("open") && this.open) {
      void this.app.catalog.load();
      void this.app.catalog.check();
    }
  }

  override render() {
    const texts = t().catalog;
    const { catalog, health } = this.app.catalog;
    const { watch } = this.app;
    const problem = this.app.catalog.problem ?? (watch.state === "live" ? undefined : watch.problem);
    const healthLook = health === "serving" ? "good" : health === "unknown" ? "" : "bad";
    return html`<dialog aria-labelledby="catalog-title" @close=${this.closed} @click=${this.clicked}>
      <div class="dialog-head">
        <h2 id="catalog-title">${texts.title}</h2>
        <button class="button plain icon" type="button" aria-label=${t().app.close} @click=${this.closed}>${icon("close")}</button>
      </div>
      <div class="dialog-body">
        ${problem ? html`<p class="bad problem" role="alert">${sentence(problem)}</p>` : nothing}
        <dl>
          ${catalog
            ? html`<dt>${texts.films}</dt><dd>${formatNumber(catalog.movieCount)}</dd>
                <dt>${texts.revision}</dt><dd>${String(watch.revision !== undefined && watch.revision > catalog.revision ? watch.revision : catalog.revision)}</dd>
                <dt>${texts.store}</dt><dd>${catalog.store}</dd>
                <dt>${texts.writes}</dt><dd>${catalog.readOnly ? texts.readOnly : catalog.canWrite ? texts.canWrite : texts.mayNotWrite}</dd>
                <dt>${texts.version}</dt><dd>${catalog.version}</dd>`
            : nothing}
          <dt>${texts.health}</dt><dd class=${healthLook}>${texts.healths[health]}</dd>
          <dt>${texts.live}</dt><dd class=${watch.state === "live" ? "good" : ""}>${t().live.states[watch.state]}</dd>
        </dl>
        <p class="more">
          <button class="button" type="button" @click=${() => this.dispatchEvent(new Event("ask-token", { bubbles: true }))}>${icon("key")} ${t().token.title}</button>
        </p>
      </div>
    </dialog>`;
  }
}
