/** Styles that the elements of the panel share. */
import { css } from "lit";

export const wireStyle = css`
  pre, code, .code { font-family: ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", monospace; font-size: 0.85rem; }
  pre {
    margin: 0; padding: 10px 12px; max-height: 340px; overflow: auto; border-radius: var(--radius-small);
    background: var(--sunken); white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4;
  }
  h3, h4, summary, legend { font-size: 1rem; font-weight: 700; }
  summary { cursor: pointer; padding: 6px 0; }
  summary > :is(h3, h4) { display: inline; }
  .soft { color: var(--ink-soft); }
  .small { min-height: 32px; padding: 0 12px; font-size: 0.9rem; }
  .ok { color: var(--good); }
  .bad { color: var(--bad); }
`;
