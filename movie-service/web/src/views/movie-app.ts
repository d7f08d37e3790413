import { html, nothing } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import type { Editor } from "../state/editor";
import { App } from "../state/app";
import { EMPTY_STATE, type FilmQuery } from "../state/url";
import { currentLanguage, t } from "../text";
import "./dialog/catalog-info";
import "./dialog/filter-drawer";
import "./dialog/token-form";
import "./film/film-details";
import type { FilmDetails } from "./film/film-details";
import "./film/film-form";
import { icon } from "./icons";
import "./list/film-filters";
import "./list/film-list";
import type { FilmListView } from "./list/film-list";
import "./list/list-head";
import "./list/search-box";
import type { SearchBox } from "./list/search-box";
import { LightElement } from "./light-element";
import "./page-notices";

/** The widths from which the filters are beside the films, and from which the details are. */
const FILTERS_BESIDE = matchMedia("(min-width: 940px)");
const DETAILS_BESIDE = matchMedia("(min-width: 1120px)");

/** The page of the movie service. */
@customElement("movie-app")
export class MovieApp extends LightElement {
  private readonly app = new App();
  /** The form that is open, if there is one. */
  private editor: Editor | undefined;
  /** The content of the sheet; `undefined` while it is closed. */
  private inSheet: { readonly film: string; readonly edit: boolean } | undefined;

  private sheetHadFocus = false;

  @state() private dialog: "" | "catalog" | "token" | "filters" = "";
  @query("film-list") private list!: FilmListView;
  @query("search-box") private search!: SearchBox;
  @query(".sheet") private sheet!: HTMLDialogElement;

  protected override observed() {
    return [this.app, this.app.navigation, this.app.catalog, this.app.watch, this.app.film];
  }

  override connectedCallback(): void {
    super.connectedCallback();
    FILTERS_BESIDE.addEventListener("change", () => this.requestUpdate());
    DETAILS_BESIDE.addEventListener("change", () => this.requestUpdate());
    addEventListener("keydown", (event) => this.onKey(event));
    addEventListener("beforeunload", (event) => {
      if ([...this.app.editors.values()].some((editor) => editor.isDirty)) event.preventDefault();
    });
    this.addEventListener("ask-token", () => (this.dialog = "token"));
    this.app.list.addEventListener("loaded", () => void this.restoreScroll());
    this.app.start();
  }

  private get sheetIsOpen(): boolean {
    return this.app.navigation.state.film !== "" || this.editor !== undefined;
  }

  private async restoreScroll(): Promise<void> {
    const top = this.app.navigation.takeScroll();
    if (top === undefined) return;
    await this.list?.updateComplete;
    scrollTo({ top, behavior: "instant" });
  }

  private onKey(event: KeyboardEvent): void {
    if (!this.hasUpdated) return;
    const target = event.composedPath()[0] as HTMLElement;
    const isTyping = target.matches?.("input:not([type=checkbox], [type=range], [type=radio]), textarea, select");
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && !isTyping && !this.sheet.matches(":modal") && this.dialog === "") {
      event.preventDefault();
      this.search.focus();
    } else if (event.key === "Escape" && this.sheet.open && (!isTyping || this.editor?.isDirty === false) && this.dialog === "") {
      event.preventDefault();
      this.closeSheet();
    } else if (this.sheet.open && !this.editor && event.composedPath().includes(this.sheet)) {
      const by = event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0;
      if (by) this.renderRoot.querySelector<FilmDetails>("film-details")?.step(by);
    }
  }

  private closeSheet = (): void => {
    this.app.navigation.go(this.editor ? { edit: false } : { film: "", edit: false });
  };

  protected override willUpdate(changes: Map<PropertyKey, unknown>): void {
    super.willUpdate(changes);
    this.editor = this.app.openEditor();
    // Asked before the update, which takes the focused element out. Nothing has the focus if that has already happened.
    this.sheetHadFocus = document.activeElement === document.body || (this.sheet?.matches(":focus-within") ?? false);
  }

  protected override firstUpdated(): void {
    this.querySelector(".skeleton")?.remove();
  }

  protected override updated(): void {
    document.documentElement.lang = currentLanguage();
    const { film, words, wire } = this.app.navigation.state;
    const title = film ? this.app.film.movie?.title : undefined;
    document.title = title ? `${title} – ${t().app.title}` : words.trim() ? t().app.filmsOf(words.trim()) : t().app.title;
    this.classList.toggle("with-sheet", this.sheetIsOpen && DETAILS_BESIDE.matches);
    this.classList.toggle("with-wire", wire);
    if (wire) void import("./wire-panel");
    this.placeSheet();
  }

  /** Opens or closes the sheet, and moves the focus as a person expects it. */
  private placeSheet(): void {
    const { film } = this.app.navigation.state;
    const before = this.inSheet;
    const shown = this.sheetIsOpen ? { film, edit: this.editor !== undefined } : undefined;
    if (shown) this.openSheet();
    if (shown?.film === before?.film && shown?.edit === before?.edit) return;
    this.inSheet = shown;
    if (!shown) {
      this.sheet.close();
      const at = this.app.list.position(before!.film);
      if (this.sheetHadFocus) void this.list.focusFilm(at < 0 ? undefined : at);
      return;
    }
    this.sheet.scrollTop = 0;
    const content = this.sheet.querySelector<LightElement>("film-form, film-details");
    void content?.updateComplete.then(() => content.focus());
  }

  /** Whether the sheet covers the page, so that nothing else can be used. The calls stay beside it. */
  private get sheetIsModal(): boolean {
    return this.sheetIsOpen && !DETAILS_BESIDE.matches && !this.app.navigation.state.wire;
  }

  private openSheet(): void {
    if (this.sheet.open && this.sheet.matches(":modal") !== this.sheetIsModal) this.sheet.close();
    if (this.sheet.open) return;
    if (this.sheetIsModal) this.sheet.showModal();
    else this.sheet.show();
  }

  private switchLanguage(): void {
    this.app.navigation.go({ lang: currentLanguage() === "en" ? "fr" : "en" }, "replace");
  }

  override render() {
    const { app } = this;
    const beside = FILTERS_BESIDE.matches;
    const notices = html`<page-notices .notices=${app.notices}></page-notices>`;
    return html`
      <a class="skip" href="#films" @click=${this.skip}>${t().app.skip}</a>
      ${this.header()}
      <div class="layout">
        ${beside ? html`<aside class="filters" aria-label=${t().filters.title}>${this.filters()}</aside>` : nothing}
        <main id="films">
          <list-head .app=${app} ?compact=${!beside} @open-filters=${() => (this.dialog = "filters")}></list-head>
          <film-list .list=${app.list} .navigation=${app.navigation} @leave-list=${() => this.search.focus()}></film-list>
        </main>
      </div>
      <dialog class="sheet" aria-label=${t().app.details} @cancel=${this.cancelSheet}>
        ${this.editor
          ? html`<film-form .app=${app} .editor=${this.editor}></film-form>`
          : app.navigation.state.film
            ? html`<film-details .app=${app} @choose-query=${this.chooseQuery}></film-details>`
            : nothing}
        ${this.sheetIsModal ? notices : nothing}
      </dialog>
      ${beside ? nothing : this.drawer()}
      <catalog-info .app=${app} ?open=${this.dialog === "catalog"} @close=${this.closeDialog}></catalog-info>
      <token-form .session=${app.session} ?open=${this.dialog === "token"} @close=${this.closeDialog}></token-form>
      ${app.navigation.state.wire ? html`<wire-panel role="region" aria-label=${t().wire.title} .log=${app.log} .api=${app} @close=${() => app.navigation.go({ wire: false })}></wire-panel>` : nothing}
      ${this.sheetIsModal ? nothing : notices}
    `;
  }

  private header() {
    const { app } = this;
    const { state: live } = app.watch;
    const { wire } = app.navigation.state;
    const other = t().app.otherLanguage;
    const code = other.slice(0, 2).toUpperCase();
    return html`<header @enter-list=${() => this.list.focusFilm(0)} @show-best=${() => app.showBest()}>
      <h1><a href="./" @click=${this.home}><span class="logo" aria-hidden="true"><svg viewBox="0 0 32 32"><path d="M12 9.500v13l11-6.500z" /></svg></span><span class="brand">${t().app.title}</span></a></h1>
      <search-box role="search" .list=${app.list} .navigation=${app.navigation}></search-box>
      <div class="tools">
        <button class="button plain live ${live}" type="button" aria-haspopup="dialog" title=${t().catalog.title} @click=${() => (this.dialog = "catalog")}>
          <span class="light" aria-hidden="true"></span><span class="label">${t().live.states[live]}</span><span class="hidden-text">, ${t().catalog.title}</span>
        </button>
        <button class="button plain icon add" type="button" aria-label=${t().app.add} title=${t().app.add} ?disabled=${!app.catalog.canWrite} @click=${() => app.navigation.go({ film: "", edit: true })}>${icon("plus")}</button>
        <button class="button plain wire" type="button" aria-pressed=${wire} aria-label=${t().wire.title} title=${t().wire.title} @click=${() => app.navigation.go({ wire: !wire })}>${icon("wire")}<span class="label">${t().wire.title}</span></button>
        <button class="button plain lang" type="button" lang=${currentLanguage() === "en" ? "fr" : "en"} aria-label="${code} – ${other}" title=${other} @click=${this.switchLanguage}>${code}</button>
      </div>
    </header>`;
  }

  private filters() {
    return html`<film-filters .list=${this.app.list} .navigation=${this.app.navigation}></film-filters>`;
  }

  private drawer() {
    return html`<filter-drawer ?open=${this.dialog === "filters"} .app=${this.app} @close=${this.closeDialog}></filter-drawer>`;
  }

  private closeDialog = (): void => {
    this.dialog = "";
  };

  private cancelSheet(event: Event): void {
    event.preventDefault();
    this.closeSheet();
  }

  /** Shows the films that a link in the details asks for; the details are closed where they would cover them. */
  private chooseQuery({ detail }: CustomEvent<FilmQuery>): void {
    this.app.navigation.go(DETAILS_BESIDE.matches ? detail : { ...detail, film: "" });
  }

  private skip(event: Event): void {
    event.preventDefault();
    void this.list.focusFilm(0);
  }

  private home(event: MouseEvent): void {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const { lang, wire } = this.app.navigation.state;
    this.app.navigation.go({ ...EMPTY_STATE, lang, wire });
  }
}
