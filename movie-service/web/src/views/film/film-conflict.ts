import { html } from "lit";
import { customElement, property } from "lit/decorators.js";
import { type Draft, draftOf, type Field } from "../../state/draft";
import type { Editor } from "../../state/editor";
import { t } from "../../text";
import { LightElement } from "../light-element";

/** Two versions of a film side by side: the person chooses one of them for each field. Dispatches "settle". */
@customElement("film-conflict")
export class FilmConflict extends LightElement {
  @property({ attribute: false }) editor!: Editor;
  /** The fields for which this caller's version is chosen. */
  private mine = new Set<Field>();

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
