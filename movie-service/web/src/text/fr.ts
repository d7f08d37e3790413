import type { Texts } from "./index";

/** The page's texts in French: one section a view. */
export const fr: Texts = {
  app: {
    title: "Films",
  },
  wire: {
    title: "Sur le réseau",
  },
};
