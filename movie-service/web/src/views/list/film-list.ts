import { html } from "lit";
import { customElement, property } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { FilmList } from "../../state/film-list";
import type { Navigation } from "../../state/navigation";
import { t } from "../../text";
import { cardSkeleton, filmCard } from "./film-card";
import { LightElement } from "../light-element";

/** Rows that are rendered above and below those in view. */
const OVERSCAN_ROWS = 2;
/** Films after those in view that are got ahead of time. */
const PREFETCHED_FILMS = 60;
/** Time after the last step of a scroll until the films react to the pointer again. */
const REST_MS = 100;
/** Films that are printed at most. */
const MAX_PRINTED_FILMS = 200;

interface Layout {
  readonly columns: number;
  readonly rowHeight: number;
  readonly gap: number;
}

/** Returns how cards are laid out in a width; all lengths in pixels. The style sheet has the same parts in its grid. */
function layoutFor(width: number, rem: number, hasMatches: boolean): Layout {
  const gap = width < 560 ? 14 : 24;
  const minimum = (width < 560 ? 8.6 : width < 1300 ? 10.4 : 11.6) * rem;
  const columns = Math.max(2, Math.floor((width + gap) / (minimum + gap)));
  const card = (width - gap * (columns - 1)) / columns;
  return { columns, rowHeight: Math.round(card * 1.5 + (hasMatches ? 6 : 4.7) * rem) + gap, gap };
}

/**
 * The films as cards, of which only those in view are in the document.
 *
 * The arrow keys move between cards; the Tab key stops at one of them.
 */
@customElement("film-list")
export class FilmListView extends LightElement {
  @property({ attribute: false }) list!: FilmList;
  @property({ attribute: false }) navigation!: Navigation;

  private layout: Layout = layoutFor(1000, 15, false);
  private width = 0;
  private hasMatches = false;
  private first = 0;
  private last = 0;
  /** The card at which the Tab key stops. */
  private active = 0;
  private printing = false;
  private restTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly resize = new ResizeObserver(() => this.measure());
  private readonly onScroll = () => {
    this.coverFilms();
    if (this.place()) this.requestUpdate();
  };
  private readonly onPrint = (event: Event) => {
    this.printing = event.type === "beforeprint";
    this.place();
    this.requestUpdate();
    this.performUpdate();
  };

  protected override observed() {
    return [this.list, this.navigation];
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.resize.observe(this);
    addEventListener("scroll", this.onScroll, { passive: true });
    addEventListener("beforeprint", this.onPrint);
    addEventListener("afterprint", this.onPrint);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.resize.disconnect();
    removeEventListener("scroll", this.onScroll);
    removeEventListener("beforeprint", this.onPrint);
    removeEventListener("afterprint", this.onPrint);
  }

  /** Moves the focus to the card at this position, which is brought into view; else to the one that had it before. */
  async focusFilm(position = this.active): Promise<void> {
    if (this.list.reachable === 0) return;
    this.measure();
    this.active = Math.max(0, Math.min(position, this.list.reachable - 1));
    this.reveal(this.active);
    this.place();
    this.requestUpdate();
    await this.updateComplete;
    const card = this.renderRoot.querySelector<HTMLElement>(`[data-position="${this.active}"]`);
    // A film that is still on its way has no card: the list keeps the focus, so that the keys go on working.
    (card ?? this.renderRoot.querySelector("ul"))?.focus({ preventScroll: true });
  }

  /** Scrolls so that the card at this position is in view. */
  reveal(position: number): void {
    const { rowHeight, columns } = this.layout;
    const top = this.getBoundingClientRect().top + Math.floor(position / columns) * rowHeight;
    const above = top - this.headerHeight() - 16;
    const below = top + rowHeight - innerHeight + 16;
    if (above < 0) scrollBy({ top: above });
    else if (below > 0) scrollBy({ top: Math.min(below, above) });
  }

  /** Keeps the pointer off the films while they move: to find and highlight the one below it costs half of a frame. */
  private coverFilms(): void {
    const cover = this.renderRoot.querySelector<HTMLElement>(".cover");
    if (!cover) return;
    cover.hidden = false;
    clearTimeout(this.restTimer);
    this.restTimer = setTimeout(() => (cover.hidden = true), REST_MS);
  }

  private headerHeight(): number {
    return parseFloat(getComputedStyle(this).getPropertyValue("--header-height")) || 0;
  }

  /** Lays the cards out anew for another width; the film at the top of the view stays there. */
  private measure(): void {
    const width = this.clientWidth;
    const { hasMatches } = this.list;
    if (width === 0 || (width === this.width && hasMatches === this.hasMatches)) return;
    this.hasMatches = hasMatches;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const before = this.layout;
    const top = this.getBoundingClientRect().top - this.headerHeight();
    this.layout = layoutFor(width, rem, hasMatches);
    const anchor = this.width > 0 && top < 0 ? (-top / before.rowHeight) * before.columns : 0;
    this.width = width;
    this.place();
    this.requestUpdate();
    if (anchor === 0 || before.columns === this.layout.columns) return;
    const row = Math.floor(anchor / this.layout.columns) + ((anchor / before.columns) % 1);
    // Taken before the update, which can make the page too short for where it is scrolled to.
    const target = scrollY + top + row * this.layout.rowHeight;
    this.performUpdate();
    scrollTo({ top: target, behavior: "instant" });
  }

  /** Finds the rows to render. Returns whether they are others than before. */
  private place(): boolean {
    const { columns, rowHeight } = this.layout;
    const top = -this.getBoundingClientRect().top;
    const rows = Math.ceil(this.list.reachable / columns);
    const visible = Math.ceil(innerHeight / rowHeight) + 1;
    const firstVisible = Math.max(0, Math.min(Math.floor(top / rowHeight), rows - visible));
    const first = this.printing ? 0 : Math.max(0, firstVisible - OVERSCAN_ROWS) * columns;
    const last = this.printing
      ? Math.min(this.list.rows.length, MAX_PRINTED_FILMS)
      : Math.min(this.list.reachable, (firstVisible + visible + OVERSCAN_ROWS) * columns);
    const moved = first !== this.first || last !== this.last;
    this.first = first;
    this.last = last;
    return moved;
  }

  protected override willUpdate(changes: Map<PropertyKey, unknown>): void {
    super.willUpdate(changes);
    this.measure();
    this.place();
    this.active = Math.max(0, Math.min(this.active, this.list.reachable - 1));
  }

  protected override updated(): void {
    if (this.width > 0 && !this.list.loading) this.list.need(this.last + PREFETCHED_FILMS);
  }

  private onClick(event: MouseEvent): void {
    const card = (event.target as Element).closest("a");
    if (!card || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.active = Number(card.dataset.position);
    const film = this.list.rows[this.active]?.movie.id;
    if (film) this.navigation.go({ film, edit: false });
  }

  private onFocus(event: FocusEvent): void {
    const position = (event.target as HTMLElement).dataset.position;
    if (position !== undefined && Number(position) !== this.active) {
      this.active = Number(position);
      this.requestUpdate();
    }
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const { columns, rowHeight } = this.layout;
    const page = Math.max(1, Math.floor(innerHeight / rowHeight)) * columns;
    const steps: Record<string, number> = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity,
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    if (event.key === "ArrowUp" && this.active < columns) {
      this.dispatchEvent(new Event("leave-list", { bubbles: true }));
      return;
    }
    void this.focusFilm(this.active + step);
  }

  override render() {
    const { list, layout, first, last } = this;
    const { columns, rowHeight, gap } = layout;
    const rows = Math.ceil(list.reachable / columns);
    const positions = Array.from({ length: Math.max(0, last - first) }, (_, at) => first + at);
    const active = this.active >= first && this.active < last ? this.active : first;
    const grid = `grid-template-columns:repeat(${columns},minmax(0,1fr));grid-auto-rows:${rowHeight - gap}px;gap:${gap}px;`;
    // The attribute `style` is forbidden by the content security policy, the property is not.
    return html`<div class="space ${list.loading ? "busy" : ""}" .style=${`height:${Math.max(0, rows * rowHeight - gap)}px`} aria-busy=${list.loading}>
      <ul
        tabindex="-1" aria-label=${t().list.label}
        .style=${`${grid}top:${Math.floor(first / columns) * rowHeight}px`}
        @click=${this.onClick} @focusin=${this.onFocus} @keydown=${this.onKey}
      >${list.loading && list.rows.length === 0
        ? Array.from({ length: columns * 3 }, cardSkeleton)
        : repeat(positions, (at) => list.rows[at]?.movie.id ?? at, (at) => this.card(at, at === active))}</ul>
      <div class="cover" hidden></div>
    </div>`;
  }

  private card(position: number, isTabStop: boolean) {
    const row = this.list.rows[position];
    if (!row) return cardSkeleton();
    const { id } = row.movie;
    return filmCard(row, {
      position,
      total: this.list.total,
      href: this.navigation.address({ film: id, edit: false }),
      isTabStop,
      isShown: this.navigation.state.film === id,
      flashes: this.list.flashes.get(id) ?? 0,
    });
  }
}
