/** The card of a film in the list. */
import { html, nothing, type TemplateResult } from "lit";
import { hiddenMatch, type Part, partsOf } from "../../state/highlight";
import type { Row } from "../../state/pages";
import { formatRating, t } from "../../text";
import { poster } from "../poster";

interface CardOptions {
  readonly position: number;
  readonly total: number;
  readonly href: string;
  /** Whether the Tab key stops here. */
  readonly isTabStop: boolean;
  /** Whether the film's details are shown. */
  readonly isShown: boolean;
  /** The number of changes a moment ago; each one flashes. */
  readonly flashes: number;
}

/** Returns a text with the parts that match marked. */
export const marked = (parts: readonly Part[]) => parts.map(({ text, matches }) => (matches ? html`<mark>${text}</mark>` : text));

/** Returns the class of a film that has changed a moment ago. Each change begins the animation anew. */
export const flashClass = (name: string, changes = 0): string => (changes === 0 ? "" : changes % 2 ? name : `${name} again`);

/** Returns the card of a film. */
export function filmCard({ movie, highlights }: Row, options: CardOptions): TemplateResult {
  const match = hiddenMatch(movie, highlights);
  const { title, director, year, rating } = movie;
  return html`<li class="card ${flashClass("flash", options.flashes)}" aria-setsize=${options.total} aria-posinset=${options.position + 1}>
    <a href=${options.href} data-position=${options.position} tabindex=${options.isTabStop ? 0 : -1} aria-current=${options.isShown ? "true" : nothing}>
      ${poster(movie)}
      <span class="title" dir="auto">${marked(partsOf(title, highlights, "title"))}</span>
      <span class="meta" dir="auto">${year || nothing}${year && director ? " · " : nothing}${marked(partsOf(director, highlights, "director"))}</span>
      ${match ? html`<span class="match" dir="auto">${t().list.match[match.field]} ${marked(match.parts)}</span>` : nothing}
      ${rating === undefined
        ? nothing
        : html`<span class="rating"><span class="hidden-text">${t().film.rating} </span><span class="star" aria-hidden="true">★</span>${formatRating(rating)}</span>`}
    </a>
  </li>`;
}

/** Returns the place of a film that is on its way. */
export const cardSkeleton = (): TemplateResult =>
  html`<li class="card skeleton" aria-hidden="true"><span class="poster"></span><span class="bar"></span><span class="bar short"></span></li>`;
