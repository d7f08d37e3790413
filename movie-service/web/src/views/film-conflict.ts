import { css, html } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { type Draft, draftOf, type Field } from "../state/draft";
import type { Editor } from "../state/editor";
import { base } from "../style/base.css";
import { t } from "../text";
import { PageElement } from "./page-element";

/** Two versions of a film side by side: the person chooses one of them for each field. Dispatches "settle". */
@customElement("film-conflict")
export class FilmConflict extends PageElement {
  static override styles = [
    base,
    css`
      :host { display: block; padding: 20px clamp(16px, 4vw, 24px) 24px; }
      :host(:focus) { outline: none; }
      h3 { font-size: 1.05rem; }
      .intro { color: var(--ink-soft); margin: 4px 0 16px; }
      fieldset { margin-bottom: 16px; display: grid; grid-template-columns: 1fr 1fr; gap: 8px; }
      legend { padding: 0; margin-bottom: 6px; font-weight: 650; }
      label { display: block; padding: 10px 12px; border: 1px solid var(--control-line); border-radius: var(--radius-small); cursor: pointer; min-width: 0; }
      label:has(:checked) { border-color: var(--accent); background: var(--accent-soft); box-shadow: inset 0 0 0 1px var(--accent); }
      label:has(:focus-visible) { outline: 3px solid var(--accent); outline-offset: 2px; }
      .whose { display: flex; align-items: center; gap: 8px; font-size: 0.87rem; color: var(--ink-soft); }
      .whose input { margin: 0; accent-color: var(--accent); }
      .text { display: block; margin-top: 4px; white-space: pre-line; overflow-wrap: anywhere; max-height: 220px; overflow: auto; }
      .empty { color: var(--ink-soft); font-style: italic; }
      .buttons { display: flex; justify-content: flex-end; gap: 10px; }
    `,
  ];

  @property({ attribute: false }) editor!: Editor;
  /** The fields for which this caller's version is chosen. */
  @state() private mine = new Set<Field>();

  protected override willUpdate(changes: Map<PropertyKey, unknown>): void {
    super.willUpdate(changes);
    if (changes.has("editor")) this.mine = new Set(this.editor.changedFields);
  }

  override render() {
    const { conflict, draft } = this.editor;
    if (!conflict) return html``;
    const theirs = draftOf(conflict.theirs);
    return html`
      <h3>${t().form.conflict}</h3>
      <p class="intro" role="alert">${t().form.conflictIntro}</p>
      ${conflict.fields.map(
        (field) => html`<fieldset>
          <legend>${t().form.fields[field]}</legend>
          ${this.version(field, false, theirs)} ${this.version(field, true, draft)}
        </fieldset>`,
      )}
      <p class="buttons">
        <button class="button primary" type="button" @click=${() => this.dispatchEvent(new CustomEvent("settle", { detail: this.mine }))}>${t().form.save}</button>
      </p>
    `;
  }

  private version(field: Field, isMine: boolean, { [field]: text }: Draft) {
    return html`<label>
      <span class="whose">
        <input type="radio" name=${field} .checked=${this.mine.has(field) === isMine} @change=${() => this.choose(field, isMine)}>
        ${isMine ? t().form.mine : t().form.theirs}
      </span>
      <span class="text ${text ? "" : "empty"}" dir="auto">${text || t().form.empty}</span>
    </label>`;
  }

  private choose(field: Field, isMine: boolean): void {
    if (isMine) this.mine.add(field);
    else this.mine.delete(field);
    this.requestUpdate();
  }
}
