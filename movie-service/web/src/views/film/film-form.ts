import { html, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import { type Field, FIELD_NAMES, FIELDS } from "../../state/draft";
import { type Editor, type Outcome } from "../../state/editor";
import type { App } from "../../state/app";
import { t } from "../../text";
import "./film-conflict";
import { icon } from "../icons";
import { LightElement } from "../light-element";
import { problemBox } from "../problem-box";

/** The fields that share a row with the next one. */
const HALF: readonly (Field | "id")[] = ["year", "runtimeMinutes", "rating", "ratingCount", "countries", "languages"];

/** The form of a film: a new one, or the shown one. */
@customElement("film-form")
export class FilmForm extends LightElement {
  @property({ attribute: false }) app!: App;
  @property({ attribute: false }) editor!: Editor;

  protected override observed() {
    return [this.editor];
  }

  override focus(): void {
    this.renderRoot.querySelector<HTMLElement>("#form-title")?.focus();
  }

  private async submit(event?: SubmitEvent): Promise<void> {
    event?.preventDefault();
    await this.finish(this.editor, this.editor.submit());
  }

  /** Shows the outcome of a submit: the saved film, or the first field that is wrong. */
  private async finish(editor: Editor, submitted: Promise<Outcome>): Promise<void> {
    const outcome = await submitted;
    if (typeof outcome === "object") return this.app.saved(outcome.saved, editor);
    if (editor !== this.editor) return;
    if (outcome === "unchanged") return this.discard();
    await this.updateComplete;
    const first = this.renderRoot.querySelector<HTMLElement>('[aria-invalid="true"]');
    (first ?? this.renderRoot.querySelector<HTMLElement>("film-conflict, .problem"))?.focus();
  }

  /** Leaves the form. The texts are there when it is opened again. */
  private leave = (): void => {
    if (this.editor.isDirty) this.app.notices.show("done", t().form.kept);
    this.app.navigation.go({ edit: false });
  };

  private discard = (): void => {
    this.app.forget(this.editor);
    this.app.navigation.go({ edit: false });
  };

  override render() {
    const { editor } = this;
    const { movie, conflict } = editor;
    const title = movie ? t().form.edit(movie.title) : t().form.add;
    return html`
      <div class="bar">
        <h2 tabindex="-1" dir="auto">${title}</h2>
        <button class="button plain icon" type="button" aria-label=${t().app.close} @click=${this.leave}>${icon("close")}</button>
      </div>
      ${conflict
        ? html`<film-conflict tabindex="-1" .editor=${editor} @settle=${(event: CustomEvent<Set<Field>>) => this.finish(editor, editor.settle(event.detail))}></film-conflict>`
        : this.form()}
    `;
  }

  private form() {
    const { editor } = this;
    return html`<form novalidate @submit=${this.submit}>
      ${editor.problem ? problemBox(editor.problem) : nothing}
      ${editor.violations.size > 0 ? html`<p class="problem" role="alert">${t().form.violations(editor.violations.size)}</p>` : nothing}
      <div class="grid">
        ${FIELD_NAMES.map((field) => this.field(field))}
        ${editor.movie ? nothing : this.field("id")}
      </div>
      <p class="buttons">
        <button class="button" type="button" @click=${this.discard}>${t().form.discard}</button>
        <button class="button primary" aria-disabled=${editor.saving}>${editor.saving ? t().form.saving : t().form.save}</button>
      </p>
    </form>`;
  }

  private field(field: Field | "id") {
    const { editor } = this;
    const kind = field === "id" ? "text" : FIELDS[field];
    const isWrong = editor.violations.has(field);
    const hint = (t().form.hints as Partial<Record<Field | "id", string>>)[field];
    const value = field === "id" ? editor.newId : editor.draft[field];
    const described = [hint && `form-${field}-hint`, isWrong && `form-${field}-bad`].filter(Boolean).join(" ");
    const type = (event: Event) => editor.type(field, (event.target as HTMLInputElement).value);
    const isLong = kind === "long" || kind === "lines" || kind === "names";
    return html`<div class="field ${HALF.includes(field) ? "half" : ""}">
      <label for="form-${field}">${t().form.fields[field]}${field === "title" ? html` <span class="hint">${t().form.required}</span>` : nothing}</label>
      ${isLong
        ? html`<textarea class="input ${kind}" id="form-${field}" rows=${kind === "names" ? 1 : 3} dir="auto" .value=${value} ?readonly=${editor.saving}
            aria-invalid=${isWrong} aria-describedby=${described || nothing} @input=${type}></textarea>`
        : html`<input class="input" id="form-${field}" dir="auto" .value=${value} ?readonly=${editor.saving} inputmode=${kind === "integer" ? "numeric" : kind === "decimal" ? "decimal" : nothing}
            type=${field === "posterUri" ? "url" : "text"} autocomplete="off" aria-required=${field === "title" ? "true" : nothing}
            aria-invalid=${isWrong} aria-describedby=${described || nothing} @input=${type}>`}
      ${hint ? html`<span class="hint" id="form-${field}-hint">${hint}</span>` : nothing}
      ${isWrong ? html`<span class="bad" id="form-${field}-bad">${editor.violations.get(field) ?? (/\d/.test(value) ? t().form.noWholeNumber : t().form.noNumber)}</span>` : nothing}
    </div>`;
  }
}
