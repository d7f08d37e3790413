import { css } from "lit";

/** The frame of the page: header, filters, films, and the details beside or above them. */
export const appStyle = css`
  :host { display: block; min-height: 100vh; }
  :host(.with-sheet) { --sheet-width: clamp(400px, 31vw, 620px); }
  :host(.with-wire) { --wire-height: min(46vh, 560px); }
  .skip { position: absolute; z-index: 40; left: 12px; top: -60px; padding: 10px 16px; border-radius: var(--radius-small); background: var(--accent); color: var(--accent-ink); }
  .skip:focus { top: 12px; }

  header {
    position: sticky; z-index: 10; top: 0; display: grid; grid-template-columns: auto minmax(0, 1fr) auto; align-items: center; gap: 12px 24px; height: var(--header-height);
    padding: 0 var(--gutter); background: var(--surface); border-bottom: 1px solid var(--line);
  }
  h1 { font-size: 1.25rem; letter-spacing: -0.02em; line-height: 40px; }
  h1 a { display: flex; align-items: center; gap: 10px; color: inherit; text-decoration: none; }
  .logo { display: grid; width: 34px; height: 34px; border-radius: 10px; background: var(--accent); }
  .logo path { fill: var(--accent-ink); }
  search-box { width: 100%; max-width: 720px; justify-self: center; }
  .tools { display: flex; align-items: center; gap: 4px; }
  .tools .lang { padding: 0 10px; }
  .live { padding: 0 12px; font-size: 0.92rem; }
  .light { width: 10px; height: 10px; border-radius: 50%; background: var(--control-line); }
  .live.live .light { background: var(--good); box-shadow: 0 0 0 4px color-mix(in srgb, var(--good) 22%, transparent); }
  .live.waiting .light, .live.refused .light { background: var(--bad); }
  .live.connecting .light { background: var(--star); animation: pulse 1.2s ease-in-out infinite; }
  .live.waiting, .live.refused { color: var(--bad); }
  @keyframes pulse { 50% { opacity: 0.3; } }

  .layout { display: grid; grid-template-columns: minmax(0, 1fr); align-items: start; padding: 0 var(--gutter) calc(48px + var(--wire-height)); margin-right: var(--sheet-width); }
  .filters {
    position: sticky; top: var(--header-height); height: calc(100vh - var(--header-height) - var(--wire-height)); overflow-y: auto; overscroll-behavior: contain;
    padding: 22px 24px 24px 8px; margin-left: -8px; scrollbar-width: thin;
  }
  main { min-width: 0; padding-top: 14px; }
  list-head { margin-bottom: 16px; }

  .sheet { position: fixed; z-index: 20; inset: 0 0 var(--wire-height) auto; width: 100vw; max-width: none; height: auto; max-height: none; margin: 0; border: 0; overflow-y: auto; overscroll-behavior: contain; background: var(--raised); }
  .sheet:focus { outline: none; }
  wire-panel { position: fixed; z-index: 25; inset: auto 0 0; height: var(--wire-height); }

  @media (min-width: 560px) {
    .sheet { width: min(560px, 100vw); box-shadow: var(--shadow-high); }
  }
  @media (min-width: 940px) {
    .layout { grid-template-columns: 232px minmax(0, 1fr); column-gap: 12px; }
  }
  @media (min-width: 1120px) {
    .sheet { top: var(--header-height); width: var(--sheet-width); border-left: 1px solid var(--line); box-shadow: none; animation: enter 180ms ease-out; }
  }
  @media (min-width: 1900px) {
    .layout { grid-template-columns: 288px minmax(0, 1fr); column-gap: 24px; }
  }
  @media (max-width: 719px) {
    header { grid-template-columns: 1fr auto; grid-template-rows: 52px 44px; gap: 0; align-content: start; }
    search-box { grid-row: 2; grid-column: span 2; }
    .tools { margin-right: -8px; gap: 0; }
  }
  @media (max-width: 420px) {
    .live .label { display: none; }
    .live { width: 40px; padding: 0; }
  }
  @keyframes enter { from { transform: translateX(24px); opacity: 0; } }

  @media print {
    header, .filters, .skip, wire-panel, filter-drawer { display: none; }
    .layout { display: block; margin: 0; padding: 0; }
    :host(.with-sheet) .layout { display: none; }
    .sheet { position: static; width: auto; }
  }
`;
