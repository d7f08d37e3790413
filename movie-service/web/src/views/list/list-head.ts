import { html, nothing } from "lit";
import { customElement, property } from "lit/decorators.js";
import { LIST_LIMIT, SEARCH_LIMIT } from "../../state/pages";
import type { App } from "../../state/app";
import { EMPTY_QUERY, type FilmQuery, type Sort, SORTS } from "../../state/url";
import { formatRating, t } from "../../text";
import { toggled } from "./film-filters";
import { icon } from "../icons";
import { LightElement } from "../light-element";
import { problemBox } from "../problem-box";

/** The head of the list: the number of films, their order, the filters in use, and errors. */
@customElement("list-head")
export class ListHead extends LightElement {
  @property({ attribute: false }) app!: App;
  /** Whether the filters are in a dialog, which a button opens. */
  @property({ type: Boolean }) compact = false;

  protected override observed() {
    return [this.app, this.app.list, this.app.navigation];
  }

  override render() {
    const { list, navigation } = this.app;
    const { problem } = list;
    const chips = this.chips(navigation.state);
    return html`
      <div class="line">
        <h2>${this.heading()}</h2>
        ${this.app.missed > 0
          ? html`<button class="button primary" type="button" @click=${() => this.app.reload()}>${t().live.missed(this.app.missed)}</button>`
          : nothing}
        <span class="grow"></span>
        ${this.compact
          ? html`<button class="button" type="button" aria-haspopup="dialog" @click=${() => this.dispatchEvent(new Event("open-filters"))}>
              ${icon("filter")} ${t().filters.title} ${chips.length ? html`<span class="badge">${chips.length}</span>` : nothing}
            </button>`
          : nothing}
        <label class="sort"><span class="label">${t().list.sort}</span>
          <select aria-label=${t().list.sort} @change=${this.sort}>
            ${SORTS.map((sort) => html`<option value=${sort} .selected=${sort === navigation.state.sort}>${this.sortName(sort)}</option>`)}
          </select>
        </label>
      </div>
      ${chips.length ? html`<div class="chips" role="group" aria-label=${t().filters.chosen}>${chips}${this.dropAll()}</div>` : nothing}
      ${this.note()}
      ${problem
        ? problemBox(problem, () => list.retry())
        : nothing}
      ${!list.loading && !problem && list.total === 0 ? this.empty(chips.length > 0) : nothing}
    `;
  }

  private heading() {
    const { list } = this.app;
    if (list.loading && list.rows.length === 0) return t().list.loading;
    if (list.problem && list.rows.length === 0) return t().app.title;
    return t().list.count(list.total);
  }

  private sortName(sort: Sort): string {
    const isSearch = this.app.navigation.state.words.trim() !== "" && !this.app.list.searchIsOff;
    return sort === "best" && !isSearch ? t().list.sorts.popular : t().list.sorts[sort];
  }

  private sort(event: Event): void {
    this.app.navigation.go({ sort: (event.target as HTMLSelectElement).value as Sort });
  }

  private chips(query: FilmQuery) {
    const drop = (text: string, change: Partial<FilmQuery>) =>
      html`<button class="chip" type="button" aria-label=${t().filters.drop(text)} @click=${() => this.app.navigation.go(change)}>
        <span dir="auto">${text}</span>${icon("close")}
      </button>`;
    return [
      ...query.genres.map((value) => drop(value, toggled(query, "genres", value))),
      ...query.decades.map((value) => drop(t().filters.decade(String(value)), toggled(query, "decades", String(value)))),
      ...query.countries.map((value) => drop(value, toggled(query, "countries", value))),
      ...query.languages.map((value) => drop(value, toggled(query, "languages", value))),
      ...(query.rating ? [drop(t().filters.ratingFrom(formatRating(query.rating)), { rating: 0 })] : []),
    ];
  }

  private dropAll() {
    const { words, sort } = this.app.navigation.state;
    return html`<button class="button plain" type="button" @click=${() => this.app.navigation.go({ ...EMPTY_QUERY, words, sort })}>
      ${t().filters.dropAll}
    </button>`;
  }

  /** Says that the list ends before its last film, or that only titles are searched. */
  private note() {
    const { list, navigation } = this.app;
    const isSearch = navigation.state.words.trim() !== "";
    if (isSearch && list.searchIsOff) return html`<p class="note">${t().list.searchIsOff}</p>`;
    if (list.total <= list.reachable || list.loading) return nothing;
    return html`<p class="note">${isSearch ? t().list.searchLimit(SEARCH_LIMIT) : t().list.listLimit(LIST_LIMIT)}</p>`;
  }

  private empty(hasFilters: boolean) {
    const { words } = this.app.navigation.state;
    return html`<div class="empty">
      <h3>${words.trim() ? t().list.nothingFor(words.trim()) : t().list.nothing}</h3>
      <p>${hasFilters ? t().list.fewerFilters : words.trim() ? t().list.otherWords : t().list.noFilms}</p>
      ${words.trim() || hasFilters
        ? html`<button class="button" type="button" @click=${() => this.app.navigation.go(EMPTY_QUERY)}>${t().list.showAll}</button>`
        : nothing}
    </div>`;
  }
}
