import { html, nothing } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { FilmList } from "../../state/film-list";
import type { Navigation } from "../../state/navigation";
import { FACETS } from "../../state/pages";
import type { FilmQuery } from "../../state/url";
import { formatNumber, formatRating, t } from "../../text";
import { LightElement } from "../light-element";

type FacetName = (typeof FACETS)[number];

/** Values that are shown before the person asks for all. */
const SHORT_LIST = 8;

interface Choice {
  readonly value: string;
  readonly count: number;
  readonly chosen: boolean;
}

/** Returns the chosen values of a facet as texts. */
const chosenValues = (query: FilmQuery, facet: FacetName): string[] => query[facet].map(String);

/** Returns the change of the query that chooses or drops a value. */
export function toggled(query: FilmQuery, facet: FacetName, value: string): Partial<FilmQuery> {
  const before = chosenValues(query, facet);
  const after = before.includes(value) ? before.filter((other) => other !== value) : [...before, value];
  return { [facet]: facet === "decades" ? after.map(Number) : after };
}

/** The filters: values with the number of films that have them, and the lowest rating. */
@customElement("film-filters")
export class FilmFilters extends LightElement {
  @property({ attribute: false }) list!: FilmList;
  @property({ attribute: false }) navigation!: Navigation;
  private readonly opened = new Set<FacetName>();
  /** The rating while the person moves the control. */
  @state() private moving: number | undefined;

  protected override observed() {
    return [this.list, this.navigation];
  }

  /** The values of a facet: the chosen ones are there even if no film has them any more. */
  private choices(facet: FacetName): Choice[] {
    const counted = this.list.facets.find(({ field }) => field === facet)?.values ?? [];
    const chosen = chosenValues(this.navigation.state, facet);
    const choices = counted.map(({ value, count }) => ({ value, count, chosen: chosen.includes(value) }));
    const missing = chosen.filter((value) => !counted.some((other) => other.value === value));
    choices.push(...missing.map((value) => ({ value, count: 0, chosen: true })));
    return facet === "decades" ? choices.sort((a, b) => Number(b.value) - Number(a.value)) : choices;
  }

  override render() {
    const { rating } = this.navigation.state;
    const shown = this.moving ?? rating;
    return html`
      <fieldset>
        <legend>${t().filters.rating}</legend>
        <div class="rating">
          <input
            type="range" min="0" max="9.5" step="0.5" .value=${String(shown)} aria-label=${t().filters.rating}
            aria-valuetext=${shown ? t().filters.ratingFrom(formatRating(shown)) : t().filters.anyRating}
            @input=${(event: Event) => (this.moving = Number((event.target as HTMLInputElement).value))}
            @change=${(event: Event) => {
              this.moving = undefined;
              this.navigation.go({ rating: Number((event.target as HTMLInputElement).value) });
            }}
          >
          <output>${shown ? html`<span class="star" aria-hidden="true">★</span> ${formatRating(shown)}+` : t().filters.any}</output>
        </div>
      </fieldset>
      ${this.list.searchIsOff ? html`<p class="off">${t().filters.off}</p>` : FACETS.map((facet) => this.facet(facet))}
    `;
  }

  private facet(facet: FacetName) {
    const choices = this.choices(facet);
    if (choices.length === 0) return nothing;
    const isOpen = this.opened.has(facet);
    const short = choices.filter(({ chosen }, at) => at < SHORT_LIST || chosen);
    const most = Math.max(1, ...choices.map(({ count }) => count));
    const values = repeat(isOpen ? choices : short, ({ value }) => value, (choice) => this.value(facet, choice, most));
    return html`<fieldset>
      <legend>${t().filters[facet]}</legend>
      <div class=${isOpen && choices.length > SHORT_LIST ? "long" : ""}>${values}</div>
      ${choices.length > short.length || isOpen
        ? html`<button type="button" class="button plain all" aria-expanded=${isOpen} @click=${() => this.open(facet, !isOpen)}>
            ${isOpen ? t().filters.fewer : t().filters.all(choices.length)}<span class="hidden-text"> (${t().filters[facet]})</span>
          </button>`
        : nothing}
    </fieldset>`;
  }

  private value(facet: FacetName, { value, count, chosen }: Choice, most: number) {
    return html`<label class="value">
      <input type="checkbox" .checked=${chosen} @change=${() => this.navigation.go(toggled(this.navigation.state, facet, value))}>
      <span class="name" dir="auto">${facet === "decades" ? t().filters.decade(value) : value}</span>
      <span class="count">${formatNumber(count)}</span>
      <svg class="share" aria-hidden="true"><rect width="${(count / most) * 100}%" height="2" rx="1" /></svg>
    </label>`;
  }

  private open(facet: FacetName, isOpen: boolean): void {
    if (isOpen) this.opened.add(facet);
    else this.opened.delete(facet);
    this.requestUpdate();
  }
}
