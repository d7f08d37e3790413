import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { CourseStub } from "../service/calls";
import { t } from "../text";
import type { CallRecord } from "../wire/record";
import type { CallLog } from "../wire/recorder";
import { icon } from "./icons";
import { LightElement } from "./light-element";
import { duration, outcomeClass, outcomeText } from "./wire-call";
import "./wire-course";

/** The calls of the page, and one of them down to its bytes. Dispatches "close". */
@customElement("wire-panel")
export class WirePanel extends LightElement {
  @property({ attribute: false }) log!: CallLog;
  @property({ attribute: false }) api!: { readonly course: CourseStub };
  /** The call that a person chose; without one, the newest is shown. */
  @state() private chosen: CallRecord | undefined;

  /** What had the focus when the panel was opened. It gets it back. */
  private opener: Element | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    this.opener = document.activeElement;
    this.addEventListener("keydown", this.onEscape);
  }

  private readonly onEscape = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    this.close();
  };

  private close(): void {
    this.dispatchEvent(new Event("close"));
    (this.opener as HTMLElement | null)?.focus();
  }

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
      <div class="panel-head">
        <h2>${texts.title}</h2>
        <p class="soft">${texts.intro}</p>
        <button type="button" class="button small" ?disabled=${calls.length === 0} @click=${this.clear}>${texts.clear}</button>
        <button type="button" class="button plain icon" aria-label=${texts.close} title=${texts.close} @click=${this.close}>
          ${icon("close")}
        </button>
      </div>
      <div class="panel-body">
        <div class="side">
          <details @made=${() => (this.chosen = undefined)}>
            <summary>${texts.course}</summary>
            <wire-course .stub=${this.api.course}></wire-course>
          </details>
          ${calls.length === 0
            ? html`<p class="soft">${texts.noCalls}</p>`
            : html`<div class="calls" role="listbox" aria-label=${texts.calls} @keydown=${this.onKey}>
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
      <b>${call.method}</b>
      <span class="soft">${endedAt === undefined ? nothing : duration(startedAt, endedAt)}</span>
      <span class=${outcomeClass(call)}>${outcomeText(call)}</span>
    </div>`;
  }

  /** Shows a call. With the newest one, the panel goes on to those that follow. */
  private choose(call: CallRecord): void {
    this.chosen = call === this.log.calls.at(-1) ? undefined : call;
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
    const entries = [...this.querySelectorAll<HTMLElement>(".call")];
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
