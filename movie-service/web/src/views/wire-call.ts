import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { t } from "../text";
import { readCall } from "../wire/call";
import { findMethod } from "../wire/contract";
import { findFrames } from "../wire/frames";
import { json } from "../wire/quote";
import { type CallRecord, MAX_RECORDED_BYTES, type Metadata } from "../wire/record";
import { statusOf } from "../wire/status";
import { LightElement } from "./light-element";
import "./wire-code";
import "./wire-message";

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
  t().wire.milliseconds(Math.round((to - from) * 10) / 10);

/** One call: its status, metadata, request and response, and the same call for other clients. */
@customElement("wire-call")
export class WireCall extends LightElement {
  /** The call. It changes while it runs. */
  @property({ attribute: false, hasChanged: () => true }) record!: CallRecord;
  @state() private shown = FIRST_MESSAGES;
  private shownId = 0;
  private isComplete = false;

  protected override shouldUpdate(changes: PropertyValues): boolean {
    // Other calls change, too. The record of a call that has ended does not.
    const isSame = changes.size === 1 && changes.has("record") && this.record.id === this.shownId && this.isComplete;
    return !isSame && super.shouldUpdate(changes);
  }

  protected override willUpdate(changes: PropertyValues): void {
    super.willUpdate(changes);
    if (this.record.id !== this.shownId) this.shown = FIRST_MESSAGES;
    this.shownId = this.record.id;
    this.isComplete = this.record.outcome !== "running";
  }

  override render() {
    const texts = t().wire;
    const { record } = this;
    const method = findMethod(record.service, record.method);
    const call = readCall(record);
    const section = (title: string, content: unknown) => html`<section aria-label=${title}><h3>${title}</h3>${content}</section>`;
    return html`
      ${this.overview(method)} ${this.metadata()}
      ${section(texts.request, this.frames(record.requestBytes, record.requestLength, method?.input))}
      ${section(texts.response, this.frames(record.responseBytes, record.responseLength, method?.output))}
      ${section(texts.sameCall, call ? html`<wire-code .call=${call}></wire-code>` : html`<p>${texts.unreadable}</p>`)}
    `;
  }

  private overview(method: DescMethod | undefined) {
    const texts = t().wire;
    const { record } = this;
    const { startedAt } = record;
    const status = statusOf(record);
    const code = status ? `grpc-status ${status.code}` : record.httpStatus && `HTTP ${record.httpStatus}`;
    const kind = !method ? texts.unknownMethod : method.methodKind === "unary" ? texts.unary : texts.streaming;
    const after = (time: number | undefined) => (time === undefined ? "–" : duration(startedAt, time));
    const row = (name: string, value: unknown) => (value ? html`<div><dt>${name}</dt><dd>${value}</dd></div>` : nothing);
    const received = texts.bytesInMessages(record.responseLength, record.responseMessages);
    return html`<div>
      <h3>${record.method} <b class=${outcomeClass(record)}>${outcomeText(record)}</b></h3>
      <p><span class="code">POST ${new URL(record.url).pathname}</span> <span class="soft">${kind}</span></p>
      <dl class="facts">
        ${row(texts.headersAfter, after(record.headersAt))} ${row(texts.messageAfter, after(record.firstMessageAt))}
        ${row(texts.endAfter, after(record.endedAt))} ${row(texts.sent, texts.bytes(record.requestLength))}
        ${row(texts.received, received)} ${row(texts.status, code)} ${row(texts.reason, status?.reason)}
      </dl>
      <p class="bad">${status?.message || record.failure}</p>
      ${status?.details.map(
        (detail) => html`<pre tabindex="0" aria-label=${detail.type}>${detail.type} ${detail.json && json(detail.json, 2)}</pre>`,
      )}
    </div>`;
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

  private frames(bytes: Uint8Array, length: number, message: DescMessage | undefined) {
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
        ({ number }) => `${this.record.id} ${number}`,
        ({ frame, number }) => html`<wire-message
          .bytes=${bytes} .frame=${frame} .message=${message} .number=${number} ?open=${number === 1}
        ></wire-message>`,
      )}
      ${rest > 0
        ? html`<button type="button" class="button small" @click=${() => (this.shown += MORE_MESSAGES)}>
            ${texts.moreMessages(Math.min(rest, MORE_MESSAGES))}
          </button>`
        : nothing}
      ${length > bytes.length ? html`<p class="soft">${texts.notKept(MAX_RECORDED_BYTES, length)}</p>` : nothing}
    `;
  }
}
