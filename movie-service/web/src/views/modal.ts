import { css } from "lit";
import { property } from "lit/decorators.js";
import { PageElement } from "./page-element";

/** An element with one modal dialog, which is shown while `open` is set. Dispatches "close". */
export class Modal extends PageElement {
  @property({ type: Boolean }) open = false;

  protected override updated(changes: Map<PropertyKey, unknown>): void {
    if (!changes.has("open")) return;
    const dialog = this.renderRoot.querySelector("dialog")!;
    if (this.open && !dialog.open) dialog.showModal();
    if (!this.open && dialog.open) dialog.close();
  }

  /** Tells that the dialog was closed: by its button, by the Escape key, or by a click beside it. */
  protected closed = (): void => {
    if (this.open) this.dispatchEvent(new Event("close"));
  };

  /** Closes at a click on the backdrop, whose target is the dialog itself. */
  protected clicked = (event: MouseEvent): void => {
    if (event.target === event.currentTarget) this.closed();
  };
}

export const modalStyle = css`
  dialog { width: min(460px, calc(100vw - 24px)); max-height: calc(100vh - 24px); max-height: calc(100dvh - 24px); border-radius: 16px; box-shadow: var(--shadow-high); overflow: auto; }
  .dialog-head { display: flex; align-items: center; justify-content: space-between; gap: 12px; padding: 14px 14px 6px 22px; }
  .dialog-head h2 { font-size: 1.2rem; letter-spacing: -0.01em; }
  .dialog-body { padding: 6px 22px 22px; }
`;
