/** Icons, in a field of 24 by 24. They say nothing to screen readers: the controls have names. */
import { html } from "lit";

const PATHS = {
  search: "M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM20 20l-4-4",
  close: "M6 6l12 12M18 6 6 18",
  filter: "M4 6h16M7 12h10M10 18h4",
  plus: "M12 5v14M5 12h14",
  previous: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  remove: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  wire: "M3 12h4l2-7 4 14 3-10 2 3h3",
  key: "M15 4a5 5 0 1 1-4 8L4 19v2h3l1-2h2v-2h2l1-2M16.5 8.500h.01",
};

export const icon = (name: keyof typeof PATHS) =>
  html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
