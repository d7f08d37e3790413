import { css, html, nothing, svg } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { base } from "../style/base.css";
import { formatNumber, t } from "../text";
import { readCall } from "../wire/call";
import { findMethod } from "../wire/contract";
import { findFrames } from "../wire/frames";
import { type CallRecord, KEPT_BYTES, type Metadata } from "../wire/record";
import { statusOf } from "../wire/status";
import { PageElement } from "./page-element";
import "./wire-code";
import "./wire-message";
import { wireStyle } from "./wire-style";

/** The messages of a response that are listed first, and how many each press of the button adds. */
const FIRST_MESSAGES = 10;
const MORE_MESSAGES = 100;

/** Returns how a call ended, in a word: the name of its status, if it has one. */
export function outcomeText(record: CallRecord): string {
  const texts = t().wire;
  if (record.outcome === "running") return texts.running;
  return statusOf(record)?.name ?? (record.outcome === "aborted" ? texts.aborted : texts.noStatus);
}

/** Returns the colour of an outcome. */
export const outcomeClass = ({ outcome }: CallRecord) => ({ ok: "ok", error: "bad", running: "", aborted: "soft" })[outcome];

/** Writes a duration: "12.3 ms". */
export const duration = (from: number, to: number) =>
  t().wire.milliseconds(formatNumber(Math.round((to - from) * 10) / 10));

/** One call: what was said about it, what was sent and received, and how to make it elsewhere. */
@customElement("wire-call")
export class WireCall extends PageElement {
  static override styles = [
    base,
    wireStyle,
    css`
      :host { display: grid; grid-template-columns: minmax(0, 1fr); gap: 14px; align-content: start; }
      .path { overflow-wrap: anywhere; }
      dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 14px; }
      dt { color: var(--ink-soft); }
      dd { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
      svg { display: block; width: 100%; height: 10px; margin: 8px 0; border-radius: 5px; background: var(--sunken); }
      .wait { fill: var(--control-line); }
      .first { fill: var(--star); }
      .stream { fill: var(--accent); }
      table { width: 100%; border-collapse: collapse; font-size: 0.9rem; }
      caption { text-align: start; font-weight: 700; padding: 6px 0 2px; }
      th, td { padding: 2px 12px 2px 0; text-align: start; vertical-align: top; overflow-wrap: anywhere; font-weight: 400; }
      th { width: 30%; min-width: 9em; color: var(--ink-soft); }
    `,
  ];

  /** The call. It changes while it runs, so each time it is set the element is rendered. */
  @property({ attribute: false, hasChanged: () => true }) record!: CallRecord;
  @state() private shown = FIRST_MESSAGES;
  private shownId = 0;

  protected override willUpdate(changes: Map<PropertyKey, unknown>): void {
    super.willUpdate(changes);
    if (this.record.id !== this.shownId) this.shown = FIRST_MESSAGES;
    this.shownId = this.record.id;
  }

  override render() {
    const texts = t().wire;
    const { record } = this;
    const method = findMethod(record.service, record.method);
    const call = readCall(record);
    return html`
      <div>
        <h3 class="path">${record.method}</h3>
        <p class="code path">POST ${new URL(record.url).pathname}</p>
        <p class="soft">
          ${!method ? texts.unknownMethod : method.methodKind === "unary" ? texts.unary : texts.streaming}
        </p>
      </div>
      ${this.status()} ${this.times()} ${this.metadata()}
      <section aria-label=${texts.request}>
        <h3>${texts.request}</h3>
        ${this.frames(record.requestBytes, record.requestLength, method?.input, "request")}
      </section>
      <section aria-label=${texts.response}>
        <h3>${texts.response}</h3>
        ${this.frames(record.responseBytes, record.responseLength, method?.output, "response")}
      </section>
      <section aria-label=${texts.sameCall}>
        <h3>${texts.sameCall}</h3>
        ${call ? html`<wire-code .call=${call}></wire-code>` : html`<p>${texts.unreadable}</p>`}
      </section>
    `;
  }

  private status() {
    const texts = t().wire;
    const { record } = this;
    const status = statusOf(record);
    const row = (name: string, value: unknown) => value && html`<dt>${name}</dt><dd>${value}</dd>`;
    return html`<dl>
      <dt>${texts.status}</dt>
      <dd>
        <b class=${outcomeClass(record)}>${outcomeText(record)}</b>
        ${status ? `(grpc-status: ${status.code})` : record.httpStatus && record.outcome === "error" ? `(HTTP ${record.httpStatus})` : nothing}
        ${status?.message || record.failure}
      </dd>
      ${row(texts.reason, status?.reason && html`<b class="code">${status.reason}</b>`)}
      ${row(
        texts.details,
        status?.details.length &&
          status.details.map(
            ({ type, json }) => html`<p class="code">${type}</p>${json === undefined ? nothing : html`<pre tabindex="0" aria-label=${type}>${JSON.stringify(json, null, 2)}</pre>`}`,
          ),
      )}
    </dl>`;
  }

  private times() {
    const texts = t().wire;
    const { startedAt, headersAt, firstMessageAt, endedAt, ...record } = this.record;
    const after = (time: number | undefined) => (time === undefined ? "–" : duration(startedAt, time));
    const end = endedAt ?? Math.max(firstMessageAt ?? 0, headersAt ?? 0, startedAt);
    // The bar has a width of 100, of which each step takes its share.
    const at = (time: number | undefined) => (((time ?? end) - startedAt) / Math.max(end - startedAt, 0.001)) * 100;
    const step = (name: string, from: number, to: number) =>
      svg`<rect class=${name} x=${from} width=${Math.max(to - from, 0)} height="10"></rect>`;
    const received = formatNumber(record.responseLength);
    return html`<section aria-label=${texts.times}>
      <h3>${texts.times}</h3>
      <svg
        viewBox="0 0 100 10" preserveAspectRatio="none" role="img"
        aria-label=${texts.timeline(after(headersAt), after(firstMessageAt), after(endedAt))}
      >
        ${step("wait", 0, at(headersAt))} ${step("first", at(headersAt), at(firstMessageAt))}
        ${step("stream", at(firstMessageAt), 100)}
      </svg>
      <dl>
        <dt>${texts.headersAfter}</dt><dd>${after(headersAt)}</dd>
        <dt>${texts.messageAfter}</dt><dd>${after(firstMessageAt)}</dd>
        <dt>${texts.endAfter}</dt><dd>${after(endedAt)}</dd>
        <dt>${texts.sent}</dt><dd>${texts.bytes(formatNumber(record.requestLength))}</dd>
        <dt>${texts.received}</dt><dd>${texts.bytesInMessages(received, formatNumber(record.responseMessages))}</dd>
      </dl>
    </section>`;
  }

  private metadata() {
    const texts = t().wire;
    const { record } = this;
    const table = (caption: string, metadata: Metadata) => html`<table>
      <caption>${caption}</caption>
      <tbody>
        ${metadata.length
          ? metadata.map(([name, value]) => html`<tr><th scope="row" class="code">${name}</th><td class="code">${value}</td></tr>`)
          : html`<tr><td>${texts.none}</td></tr>`}
      </tbody>
    </table>`;
    const inHeaders = record.trailers.length === 0 && statusOf(record);
    return html`<details>
      <summary><h3>${texts.metadata}</h3></summary>
      ${table(texts.requestHeaders, record.requestHeaders)} ${table(texts.responseHeaders, record.responseHeaders)}
      ${inHeaders ? html`<p class="soft">${texts.trailersInHeaders}</p>` : table(texts.trailers, record.trailers)}
    </details>`;
  }

  private frames(bytes: Uint8Array, length: number, message: unknown, side: string) {
    const texts = t().wire;
    const frames = findFrames(bytes);
    const first = frames.slice(0, this.shown);
    const last = frames.slice(this.shown).filter(({ trailer }) => trailer);
    const rest = frames.length - first.length - last.length;
    const list = [...first, ...last].map((frame, index) => ({ frame, number: index + 1 }));
    return html`
      ${frames.length === 0 ? html`<p class="soft">${texts.noResponse}</p>` : nothing}
      ${repeat(
        list,
        ({ number }) => `${this.record.id} ${side} ${number}`,
        ({ frame, number }) => html`<wire-message
          .bytes=${bytes} .frame=${frame} .message=${message} .number=${number} ?open=${number === 1}
        ></wire-message>`,
      )}
      ${rest > 0
        ? html`<button type="button" class="button small" @click=${() => (this.shown += MORE_MESSAGES)}>
            ${texts.moreMessages(formatNumber(Math.min(rest, MORE_MESSAGES)))}
          </button>`
        : nothing}
      ${length > bytes.length ? html`<p class="soft">${texts.notKept(formatNumber(KEPT_BYTES), formatNumber(length))}</p>` : nothing}
    `;
  }
}
