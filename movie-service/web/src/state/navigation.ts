import { formatState, type PageState, parseState, sameQuery } from "./url";

/** How a change of the state goes into the browser's history. */
type Entry = "push" | "replace" | "typing";

/**
 * The state of the page and its history. Dispatches "change".
 *
 * The words that are typed one after the other make one entry of the history.
 */
export class Navigation extends EventTarget {
  state: PageState = parseState(location.search);

  /** Where to scroll when the films of the address are there. */
  private scroll: number | undefined = history.state?.scroll;

  constructor() {
    super();
    // The browser would scroll before the films are there.
    history.scrollRestoration = "manual";
    addEventListener("pagehide", () => this.rememberScroll());
    addEventListener("popstate", () => {
      const state = parseState(location.search);
      if (!sameQuery(state, this.state)) this.scroll = history.state?.scroll ?? 0;
      this.state = state;
      this.dispatchEvent(new Event("change"));
    });
  }

  /** Returns where to scroll now that the films are there, once. */
  takeScroll(): number | undefined {
    const { scroll } = this;
    this.scroll = undefined;
    return scroll;
  }

  private rememberScroll(): void {
    history.replaceState({ ...history.state, scroll: scrollY }, "");
  }

  /** Changes parts of the state. */
  go(changes: Partial<PageState>, entry: Entry = "push"): void {
    const state = { ...this.state, ...changes };
    const address = formatState(state);
    if (address === formatState(this.state)) return;
    if (!sameQuery(state, this.state)) this.scroll = 0;
    this.state = state;
    const replaces = entry === "replace" || (entry === "typing" && history.state?.typing === true);
    const data = { typing: entry === "typing" || (entry === "replace" && history.state?.typing === true) };
    if (replaces) history.replaceState(data, "", address);
    else {
      this.rememberScroll();
      history.pushState(data, "", address);
    }
    this.dispatchEvent(new Event("change"));
  }

  /** Ends the entry of words being typed: the next words make a new one. */
  settle(): void {
    if (history.state?.typing) history.replaceState({ ...history.state, typing: false }, "");
  }

  /** Returns the address of the page with these changes, for a link. */
  address(changes: Partial<PageState>): string {
    return formatState({ ...this.state, ...changes });
  }
}
