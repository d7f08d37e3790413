import { property } from "lit/decorators.js";
import { LightElement } from "../light-element";

/** An element with one modal dialog, which is shown while `open` is set. Dispatches "close". */
export class Modal extends LightElement {
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
