import type { DescMessage } from "@bufbuild/protobuf";
import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { t } from "../text";
import { type Frame, PREFIX_BYTES } from "../wire/frames";
import { decodeFields, fieldsOf, isIntact } from "../wire/fields";
import { jsonOf } from "../wire/json";
import { json } from "../wire/quote";
import { LightElement } from "./light-element";
import "./wire-bytes";

const FIRST_CHARACTERS = 4 * 1024;
const MORE_CHARACTERS = 64 * 1024;

/** One frame: its message as JSON, then its bytes. Nothing is decoded before it is opened. */
@customElement("wire-message")
export class WireMessage extends LightElement {
  /** The bytes that the frame was found in. While a call runs there are more and more, but those of the frame stay. */
  @property({ attribute: false, hasChanged: () => false }) bytes = new Uint8Array();
  @property({ attribute: false, hasChanged: (after: Frame, before?: Frame) => after.end !== before?.end }) frame!: Frame;
  @property({ attribute: false }) message: DescMessage | undefined;
  /** The position of the message in the stream, from 1. */
  @property({ attribute: false }) number = 1;
  @property({ type: Boolean }) open = false;
  @state() private shown = FIRST_CHARACTERS;

  override render() {
    const texts = t().wire;
    const { frame } = this;
    const length = frame.length ?? frame.end - frame.start;
    return html`<details ?open=${this.open} @toggle=${(event: Event) => (this.open = (event.target as HTMLDetailsElement).open)}>
      <summary>${frame.trailer ? texts.trailerFrame(length) : texts.message(length, this.number)}</summary>
      ${this.open ? html`<div class="content">${frame.trailer ? nothing : this.json()} ${this.hex()}</div>` : nothing}
    </details>`;
  }

  private json() {
    const texts = t().wire;
    const { frame, bytes } = this;
    if (frame.compressed) return html`<p>${texts.compressed}</p>`;
    if (!frame.complete) return html`<p>${texts.incomplete}</p>`;
    const fields = decodeFields(bytes, fieldsOf(this.message), frame.start + PREFIX_BYTES, frame.end);
    if (!isIntact(fields)) return html`<p class="bad">${texts.damaged}</p>`;
    const text = json(jsonOf(fields), 2);
    const rest = text.length - this.shown;
    return html`<div>
      <h4>${texts.json}</h4>
      <pre tabindex="0" aria-label=${texts.json}>${text.slice(0, this.shown)}${rest > 0 ? "…" : ""}</pre>
      ${rest > 0
        ? html`<button type="button" class="button small" @click=${() => (this.shown += MORE_CHARACTERS)}>
            ${texts.more(Math.min(rest, MORE_CHARACTERS))}
          </button>`
        : nothing}
    </div>`;
  }

  private hex() {
    const { start, end } = this.frame;
    const frame = { ...this.frame, start: 0, end: end - start };
    return html`<div>
      <h4>${t().wire.hex}</h4>
      <wire-bytes .bytes=${this.bytes.subarray(start, end)} .frame=${frame} .message=${this.message}></wire-bytes>
    </div>`;
  }
}
