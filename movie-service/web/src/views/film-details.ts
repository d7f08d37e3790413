import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Movie } from "../gen/movie/catalog/v1/catalog_pb";
import { sentence } from "../service/errors";
import type { Page } from "../state/page";
import { EMPTY_QUERY, type FilmQuery } from "../state/url";
import { base } from "../style/base.css";
import { formatDate, formatNumber, formatRating, t } from "../text";
import { icon } from "./icons";
import { PageElement } from "./page-element";
import { poster, posterStyle } from "./poster";

/** Returns the hours and minutes of a running time. */
const runtime = (minutes: number) => [
  minutes >= 60 && t().film.hours(Math.floor(minutes / 60)),
  minutes % 60 > 0 && t().film.minutes(minutes % 60),
];

/** All fields of a film. People are links that search for them, other values are links that filter by them. */
@customElement("film-details")
export class FilmDetails extends PageElement {
  static override styles = [
    base,
    posterStyle,
    css`
      :host { display: block; }
      .bar { position: sticky; top: 0; z-index: 1; display: flex; align-items: center; gap: 4px; padding: 10px 12px; background: var(--raised); border-bottom: 1px solid var(--line); }
      .bar .grow { flex: 1; }
      .place { color: var(--ink-soft); font-size: 0.9rem; padding: 0 6px; font-variant-numeric: tabular-nums; }
      .body { padding: 20px clamp(16px, 4vw, 24px) 32px; }
      .top { display: grid; grid-template-columns: minmax(96px, 34%) 1fr; gap: 20px; align-items: start; }
      h2 { font-size: clamp(1.35rem, 4vw, 1.75rem); line-height: 1.2; letter-spacing: -0.02em; overflow-wrap: anywhere; }
      h2:focus { outline: none; }
      .original { color: var(--ink-soft); font-style: italic; margin-top: 4px; overflow-wrap: anywhere; }
      .facts { color: var(--ink-soft); margin-top: 8px; }
      .score { display: flex; align-items: baseline; gap: 6px; margin-top: 10px; font-size: 1.6rem; font-weight: 750; line-height: 1.2; font-variant-numeric: tabular-nums; }
      .score .star { color: var(--star); }
      .score small { color: var(--ink-soft); font-size: 0.87rem; font-weight: 400; }
      .chips { display: flex; flex-wrap: wrap; gap: 8px; }
      .top .chips { margin-top: 14px; }
      section { margin-top: 24px; }
      h3 { font-size: 0.87rem; font-weight: 650; color: var(--ink-soft); margin-bottom: 8px; }
      .people { font-size: 1.05rem; }
      .overview { max-width: 66ch; white-space: pre-line; overflow-wrap: anywhere; }
      .names { line-height: 1.9; }
      .names a, .people a { text-decoration-color: var(--line); overflow-wrap: anywhere; }
      .names a:hover, .people a:hover { text-decoration-color: currentColor; }
      .record { margin-top: 28px; padding-top: 16px; border-top: 1px solid var(--line); display: grid; grid-template-columns: auto 1fr; gap: 4px 16px; font-size: 0.87rem; color: var(--ink-soft); }
      .record dd { overflow-wrap: anywhere; color: var(--ink); }
      code { font: 0.95em ui-monospace, monospace; }
      .problem { padding: 14px 16px; margin-bottom: 16px; border-radius: var(--radius); background: var(--bad-soft); color: var(--bad); }
      .problem .button { margin-top: 10px; }
      .changed { animation: flash 2.2s ease-out; }
      @keyframes flash { 0%, 30% { background: var(--mark); } }
      @media print { .bar { display: none; } }
    `,
  ];

  @property({ attribute: false }) page!: Page;

  private shown: Movie | undefined;

  protected override observed() {
    return [this.page.film, this.page.list, this.page.catalog, this.page.navigation];
  }

  /** Moves the focus to the title, from where a screen reader reads on. */
  override focus(): void {
    this.renderRoot.querySelector("h2")?.focus({ preventScroll: true });
  }

  /** Shows the film before or after this one in the list. */
  async step(by: number): Promise<void> {
    const { list, film, navigation } = this.page;
    const target = list.rows[list.position(film.id) + by];
    if (list.position(film.id) < 0 || !target) return;
    list.need(list.position(target.movie.id) + 20);
    navigation.go({ film: target.movie.id, edit: false }, "replace");
    await this.updateComplete;
    this.focus();
    this.scrollIntoView({ block: "start" });
  }

  /** A link that shows other films. */
  private link(text: string, part: Partial<FilmQuery>, name: string, look = ""): TemplateResult {
    const detail: FilmQuery = { ...EMPTY_QUERY, ...part };
    const choose = (event: MouseEvent) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.dispatchEvent(new CustomEvent("choose-query", { detail }));
    };
    return html`<a class=${look} dir="auto" href=${this.page.navigation.address({ ...detail, film: "" })} title=${name} @click=${choose}>${text}</a>`;
  }

  private people(names: readonly string[]) {
    return names.map((name, at) => [at > 0 ? ", " : nothing, this.link(name, { words: name }, t().film.searchFor(name))]);
  }

  override render() {
    const { film, list } = this.page;
    const { movie } = film;
    const at = list.position(film.id);
    const flash = movie && this.shown && this.shown.id === movie.id && this.shown.etag !== movie.etag;
    this.shown = movie;
    return html`
      <div class="bar">
        <button class="button plain icon" type="button" aria-label=${t().film.previous} title=${t().film.previous} ?disabled=${at <= 0} @click=${() => this.step(-1)}>${icon("previous")}</button>
        <button class="button plain icon" type="button" aria-label=${t().film.next} title=${t().film.next} ?disabled=${at < 0 || at + 1 >= list.rows.length} @click=${() => this.step(1)}>${icon("next")}</button>
        ${at < 0 ? nothing : html`<span class="place">${t().film.place(at + 1, list.total)}</span>`}
        <span class="grow"></span>
        ${movie && !film.deleted && this.page.catalog.canWrite ? this.tools(movie) : nothing}
        <button class="button plain icon" type="button" aria-label=${t().app.close} title=${t().app.close} @click=${() => this.page.navigation.go({ film: "", edit: false })}>${icon("close")}</button>
      </div>
      <div class="body ${flash ? "changed" : ""}">
        ${film.deleted ? html`<p class="problem" role="alert">${t().film.deleted}</p>` : nothing}
        ${film.problem
          ? html`<div class="problem" role="alert"><p>${sentence(film.problem)}</p>
              <button class="button" type="button" @click=${() => film.reload()}>${t().app.retry}</button></div>`
          : nothing}
        ${movie ? this.fields(movie) : film.problem ? nothing : html`<h2 tabindex="-1">${t().film.loading}</h2>`}
      </div>
    `;
  }

  private tools(movie: Movie) {
    return html`
      <button class="button plain" type="button" @click=${() => this.page.navigation.go({ edit: true })}>${icon("edit")} ${t().film.edit}</button>
      <button class="button plain icon" type="button" aria-label=${t().film.delete(movie.title)} title=${t().film.delete(movie.title)} @click=${() => this.page.delete(movie)}>${icon("remove")}</button>`;
  }

  private fields(movie: Movie) {
    const { title, originalTitle, year, runtimeMinutes, rating, ratingCount, genres, overview, director } = movie;
    const facts = [year && String(year), year && runtimeMinutes && "·", ...runtime(runtimeMinutes)];
    return html`
      <div class="top">
        ${poster(movie)}
        <div>
          <h2 tabindex="-1" dir="auto">${title}</h2>
          ${originalTitle ? html`<p class="original" dir="auto">${originalTitle}</p>` : nothing}
          <p class="facts">${facts.filter(Boolean).join(" ")}</p>
          ${rating === undefined
            ? html`<p class="facts">${t().film.noRating}</p>`
            : html`<p class="score"><span class="star" aria-hidden="true">★</span>${formatRating(rating)}<small>${t().film.outOf}${ratingCount ? html` · ${t().film.ratings(ratingCount)}` : nothing}</small></p>`}
          ${genres.length ? html`<p class="chips">${genres.map((genre) => this.link(genre, { genres: [genre] }, t().film.filterBy(genre), "chip"))}</p>` : nothing}
        </div>
      </div>
      ${overview ? html`<section><p class="overview" dir="auto">${overview}</p></section>` : nothing}
      ${director ? this.section(t().film.director, html`<p class="people">${this.people(director.split(", "))}</p>`) : nothing}
      ${movie.cast.length ? this.section(t().film.cast, html`<p class="names">${this.people(movie.cast)}</p>`) : nothing}
      ${movie.writers.length ? this.section(t().film.writers, html`<p class="names">${this.people(movie.writers)}</p>`) : nothing}
      ${movie.countries.length
        ? this.section(t().film.countries, html`<p class="chips">${movie.countries.map((name) => this.link(name, { countries: [name] }, t().film.filterBy(name), "chip"))}</p>`)
        : nothing}
      ${movie.languages.length
        ? this.section(t().film.languages, html`<p class="chips">${movie.languages.map((name) => this.link(name, { languages: [name] }, t().film.filterBy(name), "chip"))}</p>`)
        : nothing}
      <dl class="record">
        <dt>${t().film.id}</dt><dd><code>${movie.id}</code></dd>
        ${movie.createTime ? html`<dt>${t().film.created}</dt><dd>${formatDate(timestampDate(movie.createTime))}</dd>` : nothing}
        ${movie.updateTime ? html`<dt>${t().film.updated}</dt><dd>${formatDate(timestampDate(movie.updateTime))}</dd>` : nothing}
        ${movie.etag ? html`<dt>${t().film.version}</dt><dd><code>${movie.etag}</code></dd>` : nothing}
        ${movie.posterUri ? html`<dt>${t().film.poster}</dt><dd><a href=${movie.posterUri} rel="noreferrer">${movie.posterUri}</a></dd>` : nothing}
        ${ratingCount && rating === undefined ? html`<dt>${t().film.ratingCount}</dt><dd>${formatNumber(ratingCount)}</dd>` : nothing}
      </dl>
    `;
  }

  private section(title: string, content: TemplateResult) {
    return html`<section><h3>${title}</h3>${content}</section>`;
  }
}
