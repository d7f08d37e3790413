import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type Movie, MovieSchema } from "../../src/gen/movie/catalog/v1/catalog_pb";
import type { CatalogStub } from "../../src/service/calls";
import { ShownFilm } from "../../src/state/film";

test("a change of the shown film counts more than the response to an earlier call", async () => {
  let respond = (_: Movie) => {};
  const getMovie = () => new Promise<Movie>((resolve) => (respond = resolve));
  const film = new ShownFilm({ getMovie } as unknown as CatalogStub);
  const shown = film.show("m");
  film.replace(create(MovieSchema, { id: "m", title: "New" }));
  respond(create(MovieSchema, { id: "m", title: "Old" }));
  await shown;
  expect(film.movie?.title).toBe("New");
});
