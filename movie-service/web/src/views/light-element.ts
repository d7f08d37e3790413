import { LitElement, type PropertyValues } from "lit";
import { hasTexts, languageChanges } from "../text";

/**
 * An element of the page, whose content is in the document itself, where the page's style sheet applies. It is rendered again when
 * the language changes, or the state that it observes.
 */
export class LightElement extends LitElement {
  private readonly onChange = () => this.requestUpdate();
  private subscribed: readonly EventTarget[] = [];

  /** The state that the element shows; each target dispatches "change". */
  protected observed(): (EventTarget | undefined)[] {
    return [];
  }

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.subscribe();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const target of this.subscribed) target.removeEventListener("change", this.onChange);
    this.subscribed = [];
  }

  /** Waits for the texts. */
  protected override shouldUpdate(_changes: PropertyValues): boolean {
    return hasTexts();
  }

  protected override willUpdate(_changes: PropertyValues): void {
    this.subscribe();
  }

  /** Listens to the state that is observed now, which can be another one than before. */
  private subscribe(): void {
    const targets = [languageChanges, ...this.observed().filter((target) => target !== undefined)];
    for (const target of this.subscribed) {
      if (!targets.includes(target)) target.removeEventListener("change", this.onChange);
    }
    for (const target of targets) target.addEventListener("change", this.onChange);
    this.subscribed = targets;
  }
}
