import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { isToken, type Session } from "../../service/session";
import { t } from "../../text";
import { icon } from "../icons";
import { Modal } from "./modal";

/** Asks for the caller's token, which the browser keeps until the tab is closed. */
@customElement("token-form")
export class TokenForm extends Modal {
  @property({ attribute: false }) session!: Session;
  @state() private isInvalid = false;

  protected override observed() {
    return [this.session];
  }

  private save(event: SubmitEvent): void {
    event.preventDefault();
    const input = this.renderRoot.querySelector("input")!;
    const token = input.value.trim();
    this.isInvalid = !isToken(token);
    if (this.isInvalid) return input.select();
    this.use(token);
    input.value = "";
  }

  private use(token: string): void {
    this.session.token = token || undefined;
    this.closed();
  }

  override render() {
    const texts = t().token;
    return html`<dialog aria-labelledby="token-title" @close=${this.closed} @click=${this.clicked}>
      <div class="dialog-head">
        <h2 id="token-title">${texts.title}</h2>
        <button class="button plain icon" type="button" aria-label=${t().app.close} @click=${this.closed}>${icon("close")}</button>
      </div>
      <form class="dialog-body" @submit=${this.save}>
        <p>${this.session.token ? texts.present : texts.absent}</p>
        <label for="token">${texts.label}</label>
        <input class="input" id="token" type="password" required autocomplete="off" spellcheck="false" autofocus aria-invalid=${this.isInvalid}>
        ${this.isInvalid ? html`<p role="alert">${texts.invalid}</p>` : nothing}
        <p class="buttons">
          ${this.session.token ? html`<button class="button danger" type="button" @click=${() => this.use("")}>${texts.forget}</button>` : nothing}
          <button class="button primary">${texts.use}</button>
        </p>
      </form>
    </dialog>`;
  }
}
