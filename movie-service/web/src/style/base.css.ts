/** Styles that every element of the page shares: text, controls, focus. */
import { css } from "lit";

export const base = css`
  *, *::before, *::after { box-sizing: border-box; }
  [hidden] { display: none !important; }
  h1, h2, h3, p, ul, ol, dl, dd, fieldset { margin: 0; padding: 0; }
  ul, ol { list-style: none; }
  fieldset { border: 0; min-width: 0; }
  a { color: var(--accent); text-underline-offset: 0.2em; }
  mark { background: var(--mark); color: inherit; border-radius: 3px; }
  button, input, select, textarea { font: inherit; color: inherit; }
  :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: var(--radius-small); }
  .hidden-text {
    position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
  }

  .button {
    display: inline-flex; align-items: center; justify-content: center; gap: 8px; min-height: 40px; padding: 0 16px;
    border: 1px solid var(--control-line); border-radius: 999px; background: var(--surface); color: var(--ink);
    font-weight: 600; text-decoration: none; white-space: nowrap; cursor: pointer; transition: background 120ms, border-color 120ms;
  }
  .button:hover { background: var(--sunken); }
  .button:disabled, .button[aria-disabled="true"] { opacity: 0.55; cursor: default; }
  .button.primary { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); }
  .button.primary:hover { filter: brightness(1.08); }
  .button.danger { color: var(--bad); border-color: currentColor; }
  .button.plain { border-color: transparent; background: transparent; }
  .button.plain:hover { background: var(--sunken); }
  .button.icon { width: 40px; padding: 0; flex: none; }
  .button[aria-pressed="true"] { background: var(--accent-soft); border-color: var(--accent); color: var(--accent); }
  .button svg { width: 20px; height: 20px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }

  .chip {
    display: inline-flex; align-items: center; gap: 6px; min-height: 32px; max-width: 100%; padding: 2px 12px; border: 1px solid var(--line); border-radius: 999px;
    background: var(--surface); color: var(--ink); font-size: 0.9rem; text-decoration: none; cursor: pointer; overflow-wrap: anywhere;
  }
  .chip:hover { border-color: var(--accent); color: var(--accent); }

  .input {
    width: 100%; min-height: 42px; padding: 8px 12px; border: 1px solid var(--control-line); border-radius: var(--radius-small); background: var(--surface);
  }
  .input:focus-visible { outline-offset: 0; }
  .input[aria-invalid="true"] { border-color: var(--bad); box-shadow: inset 0 0 0 1px var(--bad); }

  dialog { color: var(--ink); background: var(--raised); border: 1px solid var(--line); padding: 0; }
  dialog::backdrop { background: #0009; }

  @media (prefers-reduced-motion: reduce) {
    *, *::before, *::after { animation-duration: 1ms !important; transition-duration: 1ms !important; scroll-behavior: auto !important; }
  }
  @media (forced-colors: active) {
    .button, .chip { border-color: ButtonText; }
  }
`;
