import { hasTexts } from "../text";

/** A message to the person, with at most one thing to do. */
export interface Notice {
  readonly id: number;
  readonly kind: "done" | "error";
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void };
}

const NOTICE_DURATION_MS = 20_000;
const MAX_NOTICES = 4;

/** The visible messages, the newest last, and a message for screen readers only. Dispatches "change". */
export class Notices extends EventTarget {
  notices: readonly Notice[] = [];
  /** The next message for screen readers only. */
  spoken = "";

  private lastId = 0;

  /** Shows a message. One that is done goes away by itself; an error stays until it is dismissed. */
  show(kind: Notice["kind"], text: string, action?: Notice["action"]): void {
    const same = this.notices.find((notice) => notice.kind === kind && notice.text === text);
    if (same && kind === "error") return;
    const notice: Notice = { id: ++this.lastId, kind, text, ...(action && { action }) };
    // What was done before is old news, unless it can be undone.
    const others = this.notices.filter((other) => kind === "error" || other.kind === "error" || other.action);
    const all = [...others, notice];
    this.notices = all.filter((other, at) => other.kind === "error" || at >= all.length - MAX_NOTICES);
    if (kind === "done") setTimeout(() => this.dismiss(notice.id), NOTICE_DURATION_MS);
    this.changed();
  }

  dismiss(id: number): void {
    this.notices = this.notices.filter((notice) => notice.id !== id);
    this.changed();
  }

  /** Has a screen reader say this after its current message. */
  say(text: () => string): void {
    if (!hasTexts()) return;
    this.spoken = text();
    this.changed();
  }

  private changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}
