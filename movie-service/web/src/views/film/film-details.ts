import { html, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Movie } from "../../gen/movie/catalog/v1/catalog_pb";
import type { App } from "../../state/app";
import { EMPTY_QUERY, type FilmQuery } from "../../state/url";
import { formatDate, formatNumber, formatRating, t } from "../../text";
import { icon } from "../icons";
import { flashClass } from "../list/film-card";
import { LightElement } from "../light-element";
import { poster } from "../poster";
import { problemBox } from "../problem-box";

/** Returns the hours and minutes of a running time. */
const runtime = (minutes: number) => [
  minutes >= 60 && t().film.hours(Math.floor(minutes / 60)),
  minutes % 60 > 0 && t().film.minutes(minutes % 60),
];

/** All fields of a film. People are links that search for them, other values are links that filter by them. */
@customElement("film-details")
export class FilmDetails extends LightElement {
  @property({ attribute: false }) app!: App;

  protected override observed() {
    return [this.app.film, this.app.list, this.app.catalog, this.app.navigation];
  }

  /** Moves the focus to the title, from where a screen reader reads on. */
  override focus(): void {
    this.renderRoot.querySelector("h2")?.focus({ preventScroll: true });
  }

  /** Shows the film before or after this one in the list. */
  step(by: number): void {
    const { list, film, navigation } = this.app;
    const target = list.rows[list.position(film.id) + by];
    if (list.position(film.id) < 0 || !target) return;
    list.need(list.position(target.movie.id) + 20);
    navigation.go({ film: target.movie.id, edit: false }, "replace");
  }

  /** A link that shows other films. */
  private link(text: string, part: Partial<FilmQuery>, name: string, look = ""): TemplateResult {
    const detail: FilmQuery = { ...EMPTY_QUERY, ...part };
    const choose = (event: MouseEvent) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.dispatchEvent(new CustomEvent("choose-query", { detail }));
    };
    return html`<a class=${look} dir="auto" href=${this.app.navigation.address({ ...detail, film: "" })} title=${name} @click=${choose}>${text}</a>`;
  }

  private people(names: readonly string[]) {
    return names.map((name, at) => [at > 0 ? ", " : nothing, this.link(name, { words: name }, t().film.searchFor(name))]);
  }

  override render() {
    const { film, list } = this.app;
    const { movie } = film;
    const at = list.position(film.id);
    return html`
      <div class="bar">
        <button class="button plain icon" type="button" aria-label=${t().film.previous} title=${t().film.previous} ?disabled=${at <= 0} @click=${() => this.step(-1)}>${icon("previous")}</button>
        <button class="button plain icon" type="button" aria-label=${t().film.next} title=${t().film.next} ?disabled=${at < 0 || at + 1 >= list.rows.length} @click=${() => this.step(1)}>${icon("next")}</button>
        ${at < 0 ? nothing : html`<span class="place">${t().film.place(at + 1, list.total)}</span>`}
        <span class="grow"></span>
        ${movie && !film.deleted && this.app.catalog.canWrite ? this.tools(movie) : nothing}
        <button class="button plain icon" type="button" aria-label=${t().app.close} title=${t().app.close} @click=${() => this.app.navigation.go({ film: "", edit: false })}>${icon("close")}</button>
      </div>
      <div class="body ${flashClass("changed", list.flashes.get(film.id))}">
        ${film.deleted ? html`<p class="problem" role="alert">${t().film.deleted}</p>` : nothing}
        ${film.problem
          ? problemBox(film.problem, () => film.reload())
          : nothing}
        ${movie ? this.fields(movie) : film.problem ? nothing : html`<h2 tabindex="-1">${t().film.loading}</h2>`}
      </div>
    `;
  }

  private tools(movie: Movie) {
    return html`
      <button class="button plain" type="button" aria-label=${t().film.edit} @click=${() => this.app.navigation.go({ edit: true })}>${icon("edit")} <span class="label">${t().film.edit}</span></button>
      <button class="button plain icon" type="button" aria-label=${t().film.delete(movie.title)} title=${t().film.delete(movie.title)} @click=${() => this.app.delete(movie)}>${icon("remove")}</button>`;
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
