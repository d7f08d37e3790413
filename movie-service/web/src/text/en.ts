/** The page's texts in English: one section a view. */
export const en = {
  app: {
    title: "Films",
  },
  wire: {
    title: "On the wire",
  },
};
