/** The pages of a list of films: by search if words are typed, else by the listing, which has no end before the last film. */
import type { Facet, Highlight, Movie } from "../gen/movie/catalog/v1/catalog_pb";
import { type CatalogStub, filterOf, listOrder, searchOrder } from "../service/calls";
import type { FilmQuery } from "./url";

/** A film of the list, with the parts of its texts that match. */
export interface Row {
  readonly movie: Movie;
  readonly highlights: readonly Highlight[];
}

/** One page of the results of a query. */
export interface ResultPage {
  readonly rows: Row[];
  /** The token for the next page; empty on the last page. */
  readonly next: string;
  readonly total: number;
  readonly facets?: readonly Facet[];
  /** The revision of the films, if the response has it. */
  readonly revision?: bigint;
}

/** Gets a page of at most `size` films; the first one with an empty token. */
type GetPage = (token: string, size: number, signal: AbortSignal) => Promise<ResultPage>;

/** A list of films that can be got page by page. */
export interface Source {
  readonly getPage: GetPage;
  readonly maxPageSize: number;
  /** The films after which the pages end, although more may match. */
  readonly limit: number;
}

/** The facets of the service; the query has the chosen values of each one. */
export const FACETS = ["genres", "decades", "countries", "languages"] as const;

/** The films after which the contract ends the pages of a search. */
export const SEARCH_LIMIT = 1000;
/** The films of a list that can be scrolled to: the browser's limit on heights, and memory, end it. */
export const LIST_LIMIT = 50_000;

/** Films that match words. */
export function searchSource(stub: CatalogStub, query: FilmQuery): Source {
  return {
    maxPageSize: 100,
    limit: SEARCH_LIMIT,
    async getPage(pageToken, pageSize, signal) {
      // The counts are on each page, or the token would be of another search.
      const response = await stub.searchMovies(
        {
          query: query.words,
          filter: filterOf(query),
          orderBy: searchOrder(query.sort),
          facets: [...FACETS],
          pageSize,
          pageToken,
        },
        { signal },
      );
      const { hits, nextPageToken, totalSize, facets, revision } = response;
      const rows = hits.flatMap(({ movie, highlights }) => (movie ? [{ movie, highlights }] : []));
      return { rows, next: nextPageToken, total: totalSize, facets, revision };
    },
  };
}

/** All films that the filter selects, or those whose title begins with `titlePrefix`. */
export function listSource(stub: CatalogStub, query: FilmQuery, titlePrefix = ""): Source {
  return {
    maxPageSize: 250,
    limit: LIST_LIMIT,
    async getPage(pageToken, pageSize, signal) {
      const filter = { ...filterOf(query), titlePrefix };
      const response = await stub.listMovies({ filter, orderBy: listOrder(query.sort), pageSize, pageToken }, { signal });
      const rows = response.movies.map((movie) => ({ movie, highlights: [] }));
      return { rows, next: response.nextPageToken, total: response.totalSize };
    },
  };
}

/** Counts the values of all films that the filter selects: a search without words. */
export async function countFacets(stub: CatalogStub, query: FilmQuery, signal: AbortSignal) {
  const request = { filter: filterOf(query), facets: [...FACETS], pageSize: 1 };
  const { facets, revision } = await stub.searchMovies(request, { signal });
  return { facets, revision };
}
