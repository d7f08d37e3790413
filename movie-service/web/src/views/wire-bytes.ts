import type { DescMessage } from "@bufbuild/protobuf";
import { html, nothing, type PropertyValues } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { guard } from "lit/directives/guard.js";
import { t } from "../text";
import type { Frame } from "../wire/frames";
import { ownersOf, type Part, partsOf } from "../wire/parts";
import { LightElement } from "./light-element";
import { explain, hexOf, titleOf } from "./wire-words";

/** The bytes that are shown first, and that each press of the button adds. */
const STEP_BYTES = 4 * 1024;
const MAX_EXPLAINED_BYTES = 32;

/** A frame as bytes in hexadecimal, beside the fields that they are. Pointing at one marks the other. */
@customElement("wire-bytes")
export class WireBytes extends LightElement {
  /** The bytes of one frame, from its first one on. */
  @property({ attribute: false }) bytes = new Uint8Array();
  @property({ attribute: false }) frame!: Frame;
  /** The type of the message. */
  @property({ attribute: false }) message: DescMessage | undefined;

  @state() private shown = STEP_BYTES;
  @state() private columns = 16;
  /** The part that is explained. */
  @state() private selected = 0;
  /** The part that is pointed at. */
  private marked = -1;
  /** The byte that the keyboard is on. */
  private current = 0;
  private parts: Part[] = [];
  private owners: Int32Array = new Int32Array();
  private cells: HTMLElement[] = [];
  private items: HTMLElement[] = [];
  /** The elements that have each class. */
  private readonly classed: Record<string, HTMLElement[]> = {};
  private readonly resizes = new ResizeObserver(([entry]) => (this.columns = entry!.contentRect.width < 520 ? 8 : 16));

  override connectedCallback(): void {
    super.connectedCallback();
    this.resizes.observe(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.resizes.disconnect();
  }

  protected override willUpdate(changes: PropertyValues): void {
    super.willUpdate(changes);
    if (!changes.has("bytes") && !changes.has("message")) return;
    this.parts = partsOf(this.bytes, this.frame, this.message);
    this.owners = ownersOf(this.parts, this.bytes.length);
    this.selected = Math.min(this.selected, this.parts.length - 1);
  }

  override render() {
    const texts = t().wire;
    const rest = this.bytes.length - this.shown;
    // Bytes and parts can be thousands, so they are rendered only when they are others.
    const content = [this.parts, this.shown, this.columns, texts];
    return html`
      <p class="soft">${texts.hint}</p>
      <div class="columns">
        <div>
          <div
            class="hex code" role="grid" aria-label=${texts.hexLabel}
            @pointerover=${this.onBytePointed} @pointerleave=${() => this.mark(-1)} @click=${this.onByteClicked}
            @focusin=${this.onByteFocused} @keydown=${this.onByteKey}
          >${guard(content, () => this.rows())}</div>
          ${rest > 0
            ? html`<button type="button" class="button small" @click=${() => (this.shown += STEP_BYTES)}>
                ${texts.more(Math.min(rest, STEP_BYTES))}
              </button>`
            : nothing}
          <dl aria-live="polite">${this.explanation()}</dl>
        </div>
        <div class="tree" role="tree" aria-label=${texts.partsLabel} @pointerleave=${() => this.mark(-1)} @keydown=${this.onPartKey}>
          ${guard(content, () => this.parts.map((part, index) => (part.start < this.shown ? this.item(part, index) : nothing)))}
        </div>
      </div>
    `;
  }

  private rows() {
    const { columns } = this;
    const bytes = this.bytes.subarray(0, this.shown);
    return Array.from({ length: Math.ceil(bytes.length / columns) }, (_, row) => {
      const own = bytes.subarray(row * columns, (row + 1) * columns);
      const ascii = Array.from(own, (byte) => (byte < 0x20 || byte > 0x7e ? "." : String.fromCharCode(byte))).join("");
      return html`<div class="bytes" role="row">
        <span class="offset" role="rowheader">${(row * columns).toString(16).padStart(4, "0")}</span>
        ${Array.from(own, (byte) => html`<span class="cell" role="gridcell" tabindex="-1">${byte.toString(16).padStart(2, "0")}</span>`)}
        ${Array.from({ length: columns - own.length }, () => html`<span class="gap" aria-hidden="true">  </span>`)}
        <span class="ascii" aria-hidden="true">${ascii}</span>
      </div>`;
    });
  }

  private item(part: Part, index: number) {
    const { number, name, type, value } = titleOf(part, this.indexInParent(index));
    return html`<div
      class="item" role="treeitem" aria-level=${part.depth} aria-selected="false" tabindex="-1"
      @pointerenter=${() => this.mark(index)} @focus=${() => this.select(index)}
    >
      <span class="indent code" aria-hidden="true">${"  ".repeat(part.depth - 1)}</span>
      ${number && html`<span class="number code">${number}</span>`}
      <b>${name}</b>
      ${type && html`<span class="soft">${type}</span>`}
      <span class="code">${value}</span>
    </div>`;
  }

  /** The position of a part among the numbers of its packed field, from 1. */
  private indexInParent(index: number): number {
    let first = index;
    while (this.parts[first]!.kind === "item") first--;
    return index - first;
  }

  private explanation() {
    const part = this.parts[this.selected];
    return part && explain(part, this.bytes).map(({ start, end, text }) => {
      const bytes = this.bytes.subarray(start, Math.min(end, start + MAX_EXPLAINED_BYTES));
      return html`<dt class="code">${hexOf(bytes)}${end - start > MAX_EXPLAINED_BYTES ? " …" : ""}</dt><dd>${text}</dd>`;
    });
  }

  /** What is pointed at and selected changes often, so it is set here and not by the template. */
  protected override updated(): void {
    this.cells = [...this.querySelectorAll<HTMLElement>(".cell")];
    this.items = [...this.querySelectorAll<HTMLElement>(".item")];
    this.current = Math.min(this.current, this.cells.length - 1);
    this.show("selected", this.selected);
    this.show("marked", this.marked);
  }

  private show(name: "marked" | "selected", index: number): void {
    const part = this.parts[index];
    const item = this.items[index];
    const elements = part ? this.cells.slice(part.start, part.end) : [];
    if (item) elements.push(item);
    for (const element of this.classed[name] ?? []) element.classList.remove(name);
    for (const element of elements) element.classList.add(name);
    this.classed[name] = elements;
    if (name === "marked") return;
    // One byte and one part can be reached with the tab key, the others from there with the arrow keys.
    for (const stop of this.querySelectorAll<HTMLElement>('[tabindex="0"]')) stop.tabIndex = -1;
    this.querySelector('[aria-selected="true"]')?.setAttribute("aria-selected", "false");
    item?.setAttribute("aria-selected", "true");
    for (const stop of [this.cells[this.current], item]) if (stop) stop.tabIndex = 0;
  }

  private mark(index: number): void {
    if (index === this.marked) return;
    this.marked = index;
    this.show("marked", index);
  }

  private select(index: number): void {
    this.selected = index;
  }

  /** Returns the position of the byte that an event is about. */
  private byteOf(event: Event): number {
    return this.cells.indexOf(event.target as HTMLElement);
  }

  private onBytePointed(event: PointerEvent): void {
    this.mark(this.owners[this.byteOf(event)] ?? -1);
  }

  private onByteClicked(event: MouseEvent): void {
    const byte = this.byteOf(event);
    if (byte < 0) return;
    this.cells[byte]!.focus();
    this.items[this.owners[byte]!]?.scrollIntoView({ block: "nearest" });
  }

  /** A byte that has the focus selects its part, and is announced with it. */
  private onByteFocused(event: FocusEvent): void {
    const byte = this.byteOf(event);
    if (byte < 0) return;
    this.current = byte;
    const index = this.owners[byte]!;
    const cell = this.cells[byte]!;
    cell.ariaLabel = t().wire.byte(cell.textContent!, titleOf(this.parts[index]!, this.indexInParent(index)).name);
    this.select(index);
    this.requestUpdate();
  }

  private onByteKey(event: KeyboardEvent): void {
    const { columns, current } = this;
    const first = current - (current % columns);
    this.move(event, this.cells, {
      ArrowLeft: current - 1,
      ArrowRight: current + 1,
      ArrowUp: current - columns,
      ArrowDown: current + columns,
      Home: event.ctrlKey ? 0 : first,
      End: event.ctrlKey ? this.cells.length - 1 : Math.min(first + columns, this.cells.length) - 1,
    });
  }

  private onPartKey(event: KeyboardEvent): void {
    const { parts, selected } = this;
    let parent = selected;
    while (parent > 0 && parts[parent]!.depth >= parts[selected]!.depth) parent--;
    const hasChild = (parts[selected + 1]?.depth ?? 0) > parts[selected]!.depth;
    this.move(event, this.items, {
      ArrowUp: selected - 1,
      ArrowDown: selected + 1,
      ArrowLeft: parts[selected]!.depth > 1 ? parent : selected,
      ArrowRight: hasChild ? selected + 1 : selected,
      Home: 0,
      End: this.items.length - 1,
    });
  }

  /** Moves the focus to the element that a key names. */
  private move(event: KeyboardEvent, elements: HTMLElement[], keys: Record<string, number>): void {
    const wanted = keys[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    elements[wanted]?.focus();
  }
}
