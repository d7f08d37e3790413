import { unsafeCSS } from "lit";
import text from "./shared.css?inline";

/** The styles that all elements share, for those that the page's style sheet does not reach: elements with a shadow root. */
export const base = unsafeCSS(text);
