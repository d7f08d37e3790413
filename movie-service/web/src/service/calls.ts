import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { type Movie, MovieCatalog, type MovieFilter } from "../gen/movie/catalog/v1/catalog_pb";
import { Movie as Course } from "../gen/movie_pb";
import type { FilmQuery, Sort } from "../state/url";

/** The stub of the catalogue. */
export type CatalogStub = Client<typeof MovieCatalog>;
/** The stub of the course's contract. */
export type CourseStub = Client<typeof Course>;

export const createCatalogStub = (transport: Transport): CatalogStub => createClient(MovieCatalog, transport);
export const createCourseStub = (transport: Transport): CourseStub => createClient(Course, transport);

/** The fields of a movie, without those of every protobuf message. */
export type MovieFields = Omit<Movie, "$typeName" | "$unknown">;

const ORDERS: Record<Sort, string> = {
  best: "",
  rating: "rating desc, rating_count desc",
  newest: "year desc, rating_count desc",
  oldest: "year, rating_count desc",
  title: "title",
};

/** The order of films when no words say how well they match: the ones that most people rated come first. */
const POPULAR = "rating_count desc, rating desc";

export const searchOrder = (sort: Sort): string => ORDERS[sort];
export const listOrder = (sort: Sort): string => ORDERS[sort] || POPULAR;

/** Returns the filter of a query. */
export const filterOf = (query: FilmQuery): Partial<Omit<MovieFilter, "$typeName">> => ({
  genres: [...query.genres],
  decades: [...query.decades],
  countries: [...query.countries],
  languages: [...query.languages],
  ...(query.rating > 0 && { ratingMin: query.rating }),
});
