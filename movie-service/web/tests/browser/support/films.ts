/** Films for tests that change them. */

/** A film with every field. */
export const FULL = {
  id: "full",
  title: "The Lighthouse at the End",
  original_title: "Le Phare du bout du monde",
  director: "Ada Moreau, Jean Petit",
  year: 1987,
  runtime_minutes: 134,
  rating: 7.8,
  rating_count: 12345,
  genres: ["Drama", "Mystery"],
  countries: ["France", "Canada"],
  languages: ["French", "Inuktitut"],
  cast: ["Claire Dubois", "Samuel Okafor"],
  writers: ["Ada Moreau", "Li Wei"],
  overview: "A keeper counts the ships.\nOne of them never arrives.",
  poster_uri: "https://posters.example/full.png",
};

/** A dozen films, whose titles have the words "Film" and a number; the first one is the most popular. */
export const DOZEN = Array.from({ length: 12 }, (_, at) => ({
  id: `film-${at + 1}`,
  title: `Film ${at + 1}`,
  director: "Ada Moreau",
  year: 1990 + at,
  rating: 5,
  rating_count: 1000 - at,
  genres: ["Drama"],
}));
