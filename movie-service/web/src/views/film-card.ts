/** The card of a film in the list. */
import { css, html, nothing, type TemplateResult } from "lit";
import { hiddenMatch, type Part, partsOf } from "../state/highlight";
import type { Row } from "../state/pages";
import { formatRating, t } from "../text";
import { poster, posterStyle } from "./poster";

export interface CardOptions {
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

/** Returns the card of a film. */
export function filmCard({ movie, highlights }: Row, options: CardOptions): TemplateResult {
  const flash = options.flashes === 0 ? "" : options.flashes % 2 ? "flash" : "flash again";
  const match = hiddenMatch(movie, highlights);
  const { title, director, year, rating } = movie;
  return html`<li class="card ${flash}" aria-setsize=${options.total} aria-posinset=${options.position + 1}>
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

export const cardStyle = [
  posterStyle,
  css`
    .card { position: relative; min-width: 0; contain: layout style; }
    .card a { display: block; height: 100%; color: inherit; text-decoration: none; border-radius: var(--radius); }
    .card .poster { border-radius: var(--radius); box-shadow: var(--shadow); transition: transform 160ms, box-shadow 160ms; }
    .card a:hover .poster { transform: translateY(-3px); box-shadow: var(--shadow-high); }
    .card a[aria-current] .poster { outline: 3px solid var(--accent); outline-offset: 3px; }
    .title, .meta, .match { display: block; overflow: hidden; overflow-wrap: anywhere; }
    .title { margin-top: 0.6rem; font-weight: 650; line-height: 1.3; max-height: 2.6em; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; }
    .meta, .match { color: var(--ink-soft); font-size: 0.87rem; line-height: 1.45; white-space: nowrap; text-overflow: ellipsis; }
    .rating {
      position: absolute; top: 8px; right: 8px; padding: 2px 8px; border-radius: 999px; background: #14151ad9; color: #fff;
      font-size: 0.82rem; font-weight: 650; font-variant-numeric: tabular-nums; line-height: 1.5;
    }
    .star { color: #f5bd4f; margin-right: 4px; }
    .flash a { animation: flash 2.2s ease-out; }
    .flash.again a { animation-name: flash-again; }
    @keyframes flash { 0%, 30% { background: var(--mark); box-shadow: 0 0 0 6px var(--mark); } }
    @keyframes flash-again { 0%, 30% { background: var(--mark); box-shadow: 0 0 0 6px var(--mark); } }
    .skeleton .bar { display: block; height: 0.9rem; margin-top: 0.7rem; border-radius: 4px; background: var(--sunken); }
    .skeleton .short { width: 60%; }
    .skeleton .poster { box-shadow: none; }
    @media print {
      .card { break-inside: avoid; }
      .rating { background: none; color: #000; border: 1px solid; }
    }
  `,
];
