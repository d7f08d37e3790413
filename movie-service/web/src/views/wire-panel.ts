import { css, html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { CourseStub } from "../service/calls";
import { base } from "../style/base.css";
import { t } from "../text";
import type { CallRecord } from "../wire/record";
import type { CallLog } from "../wire/recorder";
import { icon } from "./icons";
import { PageElement } from "./page-element";
import { duration, outcomeClass, outcomeText } from "./wire-call";
import "./wire-course";
import { wireStyle } from "./wire-style";

/** The calls of the page, and one of them down to its bytes. Dispatches "close". */
@customElement("wire-panel")
export class WirePanel extends PageElement {
  static override styles = [
    base,
    wireStyle,
    css`
      :host {
        display: flex; flex-direction: column; overflow: hidden; container-type: inline-size; background: var(--surface); color: var(--ink);
      }
      header { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; padding: 8px var(--gutter); border-bottom: 1px solid var(--line); }
      h2 { font-size: 1.15rem; }
      header p { flex: 1; min-width: 0; }
      .body { flex: 1; min-height: 0; overflow: auto; padding: 0 var(--gutter) 16px; }
      .list { overflow: auto; max-height: 220px; margin-top: 8px; border: 1px solid var(--line); border-radius: var(--radius-small); }
      .call {
        display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 10px; padding: 6px 10px; cursor: pointer; border-inline-start: 3px solid transparent;
      }
      .call + .call { border-top: 1px solid var(--line); }
      .call:hover { background: var(--sunken); }
      .call[aria-selected="true"] { border-inline-start-color: var(--accent); background: var(--accent-soft); }
      .call:focus-visible { outline-offset: -3px; }
      .call .name { overflow-wrap: anywhere; font-weight: 600; }
      .call .end { font-size: 0.85rem; overflow-wrap: anywhere; }
      .time { color: var(--ink-soft); font-size: 0.85rem; font-variant-numeric: tabular-nums; }
      wire-call { margin-top: 14px; }
      @container (min-width: 760px) {
        .body { display: grid; grid-template-columns: minmax(240px, 320px) minmax(0, 1fr); gap: 0 24px; padding-block: 0; overflow: hidden; }
        .calls, .chosen { overflow: auto; min-height: 0; padding-block: 0 16px; }
        .list { max-height: none; }
      }
    `,
  ];

  @property({ attribute: false }) log!: CallLog;
  @property({ attribute: false }) api!: { readonly course: CourseStub };
  /** The call that a person chose; without one, the newest is shown. */
  @state() private chosen: CallRecord | undefined;

  protected override observed() {
    return [this.log];
  }

  /** The call that is shown. A chosen one stays, even if the log has forgotten it. */
  private get shown(): CallRecord | undefined {
    return this.chosen ?? this.log.calls.at(-1);
  }

  override render() {
    const texts = t().wire;
    const calls = [...this.log.calls].reverse();
    const { shown } = this;
    return html`
      <header>
        <h2>${texts.title}</h2>
        <p class="soft">${texts.intro}</p>
        <button type="button" class="button small" ?disabled=${calls.length === 0} @click=${this.clear}>${texts.clear}</button>
        <button type="button" class="button plain icon" aria-label=${texts.close} title=${texts.close} @click=${() => this.dispatchEvent(new Event("close"))}>
          ${icon("close")}
        </button>
      </header>
      <div class="body">
        <div class="calls">
          <details @made=${() => (this.chosen = undefined)}>
            <summary>${texts.course}</summary>
            <wire-course .stub=${this.api.course}></wire-course>
          </details>
          ${calls.length === 0
            ? html`<p class="soft">${texts.noCalls}</p>`
            : html`<div class="list" role="listbox" aria-label=${texts.calls} @keydown=${this.onKey}>
                ${repeat(calls, ({ id }) => id, (call, index) => this.entry(call, call === shown || (index === 0 && !calls.includes(shown!))))}
              </div>`}
        </div>
        <div class="chosen" @pointerdown=${this.pin} @focusin=${this.pin}>
          ${shown ? html`<wire-call .record=${shown}></wire-call>` : nothing}
        </div>
      </div>
    `;
  }

  private entry(call: CallRecord, isTabStop: boolean) {
    const { startedAt, endedAt } = call;
    return html`<div
      class="call" role="option" aria-selected=${call === this.shown} tabindex=${isTabStop ? 0 : -1} @click=${() => this.choose(call)}
      @focus=${() => this.choose(call)}
    >
      <span class="name">${call.method}</span>
      <span class="time">${endedAt === undefined ? nothing : duration(startedAt, endedAt)}</span>
      <span class="end ${outcomeClass(call)}">${outcomeText(call)}</span>
    </div>`;
  }

  private choose(call: CallRecord): void {
    this.chosen = call;
  }

  /** Who reads a call or works with it keeps it, while newer ones arrive. */
  private pin(): void {
    this.chosen = this.shown;
  }

  private clear(): void {
    this.chosen = undefined;
    this.log.clear();
  }

  private onKey(event: KeyboardEvent): void {
    const entries = [...this.renderRoot.querySelectorAll<HTMLElement>(".call")];
    const at = entries.findIndex((entry) => entry.matches(":focus"));
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: entries.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    entries[to]?.focus();
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "wire-panel": WirePanel;
  }
}
