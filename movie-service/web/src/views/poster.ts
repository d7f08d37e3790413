/** The poster of a film: a picture if its host is allowed, above a placeholder drawn from the title, the year and the genre. */
import { html, nothing, svg, type SVGTemplateResult, type TemplateResult } from "lit";
import { keyed } from "lit/directives/keyed.js";
import type { Movie } from "../gen/movie/catalog/v1/catalog_pb";

/** The colours of a placeholder, from dark to light. */
interface Palette {
  readonly ground: string;
  readonly middle: string;
  readonly bright: string;
  readonly paper: string;
}

/** Draws the picture of a placeholder, in a field of 200 by 300; `seed` has eight bits that vary it. */
type Motif = (colours: Palette, seed: number) => SVGTemplateResult;

const MOTIFS = {
  sun: ({ middle, bright }, seed) => svg`
    <circle cx=${60 + (seed % 80)} cy="128" r="46" fill=${bright} />
    <path d="M0 150q50-26 100-8t100-10V300H0z" fill=${middle} />
    <path d="M0 186q70-20 120 0t80-4V300H0z" fill=${middle} fill-opacity=".6" />`,
  planet: ({ middle, bright }, seed) => svg`
    <circle cx="100" cy="110" r=${34 + (seed % 24)} fill=${middle} />
    <ellipse cx="100" cy="110" rx="84" ry="19" fill="none" stroke=${bright} stroke-width="6" transform="rotate(${(seed % 60) - 30} 100 110)" />
    <circle cx="30" cy="36" r="3" fill=${bright} /><circle cx="166" cy="48" r="2" fill=${bright} /><circle cx="176" cy="184" r="3" fill=${bright} />`,
  moon: ({ middle, bright, ground }, seed) => svg`
    <circle cx=${80 + (seed % 60)} cy="84" r="42" fill=${bright} />
    <circle cx=${98 + (seed % 60)} cy="74" r="38" fill=${ground} />
    <path d="M0 210 26 160l14 22 20-54 22 60 24-32 20 44 24-66 22 52 28-30V300H0z" fill=${middle} />`,
  pair: ({ middle, bright }, seed) => svg`
    <circle cx="78" cy=${110 + (seed % 20)} r="54" fill=${middle} />
    <circle cx="126" cy=${124 - (seed % 20)} r="54" fill=${bright} fill-opacity=".75" />`,
  stripes: ({ middle, bright }, seed) => svg`
    <g transform="rotate(${(seed % 120) - 60} 100 130)">
      <path d="M-80 ${56 + (seed % 13)}h360v22H-80z" fill=${middle} /><path d="M-80 ${100 - (seed % 11)}h360v${36 + (seed % 17)}H-80z" fill=${bright} /><path d="M-80 174h360v12H-80z" fill=${middle} />
    </g>`,
  arcs: ({ middle, bright }, seed) => svg`
    <g fill="none" stroke-width="13" transform="rotate(${(seed % 4) * 90} 100 116)">
      <path d="M36 180a64 64 0 0 1 128 0" stroke=${bright} /><path d="M62 180a38 38 0 0 1 76 0" stroke=${middle} /><path d="M10 180a90 90 0 0 1 180 0" stroke=${middle} />
    </g>`,
  dots: ({ middle, bright }, seed) => svg`
    ${[0, 1, 2, 3, 4, 5, 6].map((at) => svg`<circle
      cx=${22 + ((at * 71 + seed * 13) % 160)} cy=${30 + ((at * 47 + seed * 7) % 170)} r=${9 + ((at * 11 + seed) % 22)} fill=${at % 2 ? middle : bright} />`)}`,
  columns: ({ middle, bright }, seed) => svg`
    ${[0, 1, 2, 3, 4].map((at) => {
      const height = 60 + ((at * 53 + seed * 11) % 110);
      return svg`<path d="M${22 + at * 33} ${206 - height}h24v${height}h-24z" fill=${at === seed % 5 ? bright : middle} />`;
    })}`,
  frame: ({ middle, bright }, seed) => svg`
    <path d="M38 34h124v150H38z" fill=${middle} />
    <circle cx=${70 + (seed % 60)} cy="109" r="34" fill=${bright} />
    <path d="M38 184 162 34v150z" fill=${bright} fill-opacity=".35" />`,
} satisfies Record<string, Motif>;

/** Genres that say little about a film, such as Drama, have no picture. */
const MOTIF_OF_GENRE = new Map<string, keyof typeof MOTIFS>([
  ["Western", "sun"], ["Adventure", "sun"], ["Sci-Fi", "planet"], ["Fantasy", "planet"], ["Horror", "moon"], ["Mystery", "moon"],
  ["Romance", "pair"], ["Action", "stripes"], ["Crime", "stripes"], ["Thriller", "stripes"], ["War", "stripes"], ["Sport", "stripes"],
  ["Musical", "arcs"], ["Music", "arcs"], ["Comedy", "dots"], ["Family", "dots"], ["Animation", "dots"], ["Documentary", "columns"],
  ["History", "columns"], ["Biography", "columns"],
]);

const ARTICLES = /^(the|an?|l[ea]s?|une?|der|die|das|el|los|las|il|gli|o|os|as) /i;

/** Returns the first letters of at most three words of a title, without an article; of a single word, its first two letters. */
export function initials(title: string): string {
  const cleaned = title.replace(ARTICLES, "").split(/[\s\-–:/]+/).map((word) => word.replace(/^[^\p{L}\p{N}]+/u, ""));
  const words = cleaned.filter((word) => word !== "");
  if (words.length === 1) return [...words[0]!].slice(0, 2).join("");
  return words.slice(0, 3).map((word) => [...word][0]!.toUpperCase()).join("") || "…";
}

/** Hues in degrees, from 140: those before look like mud when they are dark. */
const HUES = 290;

/** A hash of a text (FNV-1a, 32 bits), so that a film always looks the same. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return value;
}

function palette(hue: number): Palette {
  return {
    ground: `oklch(0.33 0.06 ${hue % 360})`,
    middle: `oklch(0.48 0.1 ${(hue + 24) % 360})`,
    bright: `oklch(0.76 0.13 ${(hue + 70) % 360})`,
    paper: `oklch(0.96 0.02 ${hue % 360})`,
  };
}

function placeholder({ title, year, genres }: Movie): SVGTemplateResult {
  const seed = hash(title);
  const motifs = genres.flatMap((name) => MOTIF_OF_GENRE.get(name) ?? []);
  const motif = MOTIFS[motifs[(seed >>> 17) % motifs.length] ?? "frame"];
  const colours = palette(140 + ((seed >>> 5) % HUES));
  return svg`
    <rect width="200" height="300" fill=${colours.ground} />
    ${motif(colours, (seed >>> 9) & 255)}
    ${year ? svg`<path d="M0 0h200v48H0z" fill=${colours.ground} fill-opacity=".8" />` : nothing}
    <text x="16" y="278" fill=${colours.paper}>${initials(title)}</text>
    <text x="16" y="34" class="year" fill=${colours.paper}>${year || nothing}</text>`;
}

const origins = (): string[] =>
  (document.querySelector<HTMLMetaElement>('meta[name="poster-origins"]')?.content ?? "").split(/\s+/).filter(Boolean);
let allowed: string[] | undefined;

/** Whether the service lets pages show pictures of this address's host. */
export function isAllowedPoster(uri: string, allowedOrigins: readonly string[]): boolean {
  return URL.canParse(uri) && allowedOrigins.includes(new URL(uri).origin);
}

const hide = (event: Event) => ((event.target as HTMLElement).hidden = true);

/** Returns the poster of a film. It says nothing to screen readers: its texts are beside it. */
export function poster(movie: Movie): TemplateResult {
  allowed ??= origins();
  return html`<span class="poster" aria-hidden="true">
    <svg viewBox="0 0 200 300" preserveAspectRatio="xMidYMid slice">${placeholder(movie)}</svg>
    ${isAllowedPoster(movie.posterUri, allowed)
      ? keyed(movie.posterUri, html`<img src=${movie.posterUri} alt="" loading="lazy" decoding="async" referrerpolicy="no-referrer" @error=${hide}>`)
      : nothing}
  </span>`;
}
