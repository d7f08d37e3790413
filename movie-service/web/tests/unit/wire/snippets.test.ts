import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { create, type MessageInitShape, type DescMessage, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { MovieCatalog } from "../../../src/gen/movie/catalog/v1/catalog_pb";
import { Movie } from "../../../src/gen/movie_pb";
import { readCall } from "../../../src/wire/call";
import { HTTP_RULES, LANGUAGES, type Language, snippet } from "../../../src/wire/snippets";

type Method = { name: string; input: DescMessage; parent: { typeName: string } };

/** A text with all that quoting can get wrong. */
const HARD = `a'b"c\\d\ne\tf$HOME \`id\` !! %s {x} é 七 🎬\u0000\u202e`;

interface Options {
  base?: string;
  authorized?: boolean;
}

function write<M extends Method>(
  language: Language,
  { name, input, parent }: M,
  request: MessageInitShape<M["input"]>,
  { base = "http://localhost:3001/", authorized = false }: Options = {},
): string {
  const message = toBinary(input, create(input, request as MessageInitShape<DescMessage>));
  const prefix = new Uint8Array(5);
  new DataView(prefix.buffer).setUint32(1, message.length);
  const call = readCall({
    service: parent.typeName,
    method: name,
    url: `${base}${parent.typeName}/${name}`,
    requestBytes: Uint8Array.of(...prefix, ...message),
    requestHeaders: authorized ? [["authorization", "Bearer …"]] : [],
  });
  return snippet(language, call!);
}

/** The arguments that a POSIX shell gives to the program. */
function shellArguments(command: string): string[] {
  const [program] = command.split(" ", 1);
  const script = `${program}() { printf '%s\\0' "$@"; }\n${command}`;
  const environment = { MOVIE_TOKEN: "token", HOME: "/wrong" };
  return execFileSync("sh", ["-c", script], { env: environment, encoding: "utf8" }).split("\0").slice(0, -1);
}

const { getMovie, listMovies, createMovie, updateMovie, deleteMovie, searchMovies, watchMovies } = MovieCatalog.method;

test("the rules are those of the contract", () => {
  const proto = ["movie/catalog/v1/catalog.proto", "movie_http.proto"]
    .map((file) => readFileSync(new URL(`../../../../../proto/${file}`, import.meta.url), "utf8"))
    .join("");
  const annotated = [
    ...proto.matchAll(/rpc (\w+)\((?!stream).*\n\s*option \(google.api.http\) = \{ (\w+): "(.*?)"(?: body: "(\w+)")? \}/g),
    ...proto.matchAll(/selector: "Movie\.(\w+)" (\w+): "(.*?)"/g),
  ];
  expect(Object.fromEntries(annotated.map(([, name, ...rule]) => [name, rule.filter(Boolean)]))).toEqual(HTTP_RULES);
});

describe("curl", () => {
  const curl = (...[method, request, options]: Parameters<typeof write> extends [any, ...infer Rest] ? Rest : never) =>
    write("curl", method, request, options);

  test("writes a call of the course", () => {
    expect(curl(Movie.method.getMovieByID, { id: "a8034f44-aee4-44cf-b32c-74cf452aaaae" })).toBe(
      "curl -s 'http://localhost:3001/v1/course/movies/a8034f44-aee4-44cf-b32c-74cf452aaaae'",
    );
    expect(curl(Movie.method.getListMovies, {})).toBe("curl -sN 'http://localhost:3001/v1/course/movies'");
  });

  test("writes nested and repeated fields as parameters", () => {
    const command = curl(searchMovies, {
      query: "sevn samurai & co",
      pageSize: 40,
      filter: { ratingMin: 7.5, decades: [1950, 1990], genres: ["Film-Noir"] },
      facets: ["genres"],
    });
    const url = new URL(shellArguments(command).at(-1)!);
    expect(url.pathname).toBe("/v1/movies:search");
    expect([...url.searchParams]).toEqual([
      ["query", "sevn samurai & co"],
      ["pageSize", "40"],
      ["filter.ratingMin", "7.5"],
      ["filter.genres", "Film-Noir"],
      ["filter.decades", "1950"],
      ["filter.decades", "1990"],
      ["facets", "genres"],
    ]);
  });

  test("quotes texts in paths and parameters", () => {
    const path = new URL(shellArguments(curl(getMovie, { id: HARD })).at(-1)!).pathname;
    expect(decodeURIComponent(path)).toBe(`/v1/movies/${HARD}`);
    expect(path.split("/").length).toBe(4);
    const url = new URL(shellArguments(curl(listMovies, { orderBy: HARD })).at(-1)!);
    expect(url.searchParams.get("orderBy")).toBe(HARD);
  });

  test("does not let an id stand for another path", () => {
    const given = shellArguments(curl(getMovie, { id: ".." }));
    expect(given).toEqual(["-s", "--path-as-is", "http://localhost:3001/v1/movies/%2E%2E"]);
    expect(curl(getMovie, { id: "a/b" })).toContain("/v1/movies/a%2Fb'");
  });

  test("writes the body of a new movie", () => {
    const command = curl(createMovie, { movie: { title: HARD, year: 1979 }, requestId: "r 1" });
    const [s, header, type, d, body, url] = shellArguments(command);
    expect([s, header, type, d]).toEqual(["-s", "-H", "Content-Type: application/json", "-d"]);
    expect(JSON.parse(body!)).toEqual({ title: HARD, year: 1979 });
    expect(url).toBe("http://localhost:3001/v1/movies?requestId=r%201");
  });

  test("writes a change: the id in the path, the mask as a parameter", () => {
    const request = { movie: { id: "tt1", runtimeMinutes: 90 }, updateMask: { paths: ["runtime_minutes", "year"] } };
    const given = shellArguments(curl(updateMovie, request));
    expect(given).toEqual([
      "-s",
      "-X",
      "PATCH",
      "-H",
      "Content-Type: application/json",
      "-d",
      '{"runtimeMinutes":90}',
      "http://localhost:3001/v1/movies/tt1?updateMask=runtimeMinutes%2Cyear",
    ]);
  });

  test("takes the token from the environment, and the folder from the page", () => {
    const options = { authorized: true, base: "https://films.example/catalogue/" };
    const given = shellArguments(curl(deleteMovie, { id: "tt1", allowMissing: true }, options));
    expect(given).toEqual([
      "-s",
      "-X",
      "DELETE",
      "-H",
      "Authorization: Bearer token",
      "https://films.example/catalogue/v1/movies/tt1?allowMissing=true",
    ]);
  });

  test("writes a oneof", () => {
    const start = { case: "fromRevision", value: 2n ** 53n + 1n } as const;
    expect(curl(watchMovies, { start })).toBe(
      "curl -sN 'http://localhost:3001/v1/movies:watch?fromRevision=9007199254740993'",
    );
  });
});

describe("grpcurl", () => {
  test("writes a call without encryption, with its request as JSON", () => {
    const given = shellArguments(write("grpcurl", getMovie, { id: HARD }));
    expect(given.slice(0, 2)).toEqual(["-plaintext", "-d"]);
    expect(JSON.parse(given[2]!)).toEqual({ id: HARD });
    expect(given.slice(3)).toEqual(["localhost:3001", "movie.catalog.v1.MovieCatalog/GetMovie"]);
  });

  test("writes a mask as a message, as grpcurl reads it", () => {
    const request = { movie: { id: "tt1" }, updateMask: { paths: ["runtime_minutes", "year"] } };
    const given = shellArguments(write("grpcurl", updateMovie, request));
    expect(JSON.parse(given[2]!)).toEqual(request);
  });

  test("names the port of an encrypted connection, and sends the token", () => {
    const options = { authorized: true, base: "https://films.example/catalogue/" };
    const given = shellArguments(write("grpcurl", getMovie, { id: "a" }, options));
    expect(given).toEqual([
      "-H",
      "authorization: Bearer token",
      "-d",
      '{"id":"a"}',
      "films.example:443",
      "movie.catalog.v1.MovieCatalog/GetMovie",
    ]);
  });
});

describe("Python", () => {
  test("makes a call of the course as the course does", () => {
    expect(write("Python", Movie.method.getMovieByID, { id: "7" })).toBe(`\
# pip install grpcio grpcio-tools googleapis-common-protos
# python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. movie.proto
import grpc
import movie_pb2
import movie_pb2_grpc

with grpc.insecure_channel("localhost:3001") as channel:
    stub = movie_pb2_grpc.MovieStub(channel)
    print(stub.GetMovieByID(movie_pb2.MovieID(id="7")))
`);
  });

  test("reads a stream, sends the token, and encrypts", () => {
    const options = { authorized: true, base: "https://films.example/" };
    expect(write("Python", watchMovies, { start: { case: "fullCopy", value: true } }, options)).toBe(`\
# pip install grpcio grpcio-tools googleapis-common-protos
# python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. movie/catalog/v1/catalog.proto
import os

import grpc
from movie.catalog.v1 import catalog_pb2
from movie.catalog.v1 import catalog_pb2_grpc

with grpc.secure_channel("films.example:443", grpc.ssl_channel_credentials()) as channel:
    stub = catalog_pb2_grpc.MovieCatalogStub(channel)
    for message in stub.WatchMovies(catalog_pb2.WatchMoviesRequest(full_copy=True), metadata=[("authorization", "Bearer " + os.environ["MOVIE_TOKEN"])]):
        print(message)
`);
  });

  test("writes nested messages, lists, floats and the fields of a mask", () => {
    const program = write("Python", updateMovie, {
      movie: { id: "tt1", rating: Math.fround(8.2), genres: ["Drama"], ratingCount: -(2n ** 63n) },
      updateMask: { paths: ["rating"] },
    });
    expect(program).toContain("from google.protobuf import field_mask_pb2\n");
    expect(program).toContain(
      'stub.UpdateMovie(catalog_pb2.UpdateMovieRequest(movie=catalog_pb2.Movie(rating=8.2, id="tt1", genres=["Drama"], ' +
        'rating_count=-9223372036854775808), update_mask=field_mask_pb2.FieldMask(paths=["rating"])))',
    );
  });

  test("escapes what does not show", () => {
    expect(write("Python", getMovie, { id: HARD })).toContain(
      String.raw`id="a'b\"c\\d\ne\u0009f$HOME ` + "`id` !! %s {x} é 七 🎬" + String.raw`\u0000\u202e"`,
    );
    expect(write("Python", getMovie, { id: "\u{e0001}" })).toContain(String.raw`id="\U000e0001"`);
  });
});

describe("Rust", () => {
  test("makes a call with the stub of the crate", () => {
    expect(write("Rust", Movie.method.getMovieByID, { id: "7" })).toBe(`\
// [dependencies]
// movie-proto = { path = "movie-proto" }
// tokio = { version = "1", features = ["full"] }
// tonic = "0.14"
use movie_proto::movie_client::MovieClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let channel = tonic::transport::Channel::from_static("http://localhost:3001").connect().await?;
    let mut stub = MovieClient::new(channel);
    let request = tonic::Request::new(movie_proto::MovieId {
        id: "7".to_owned(),
    });
    println!("{:#?}", stub.get_movie_by_id(request).await?.into_inner());
    Ok(())
}
`);
  });

  test("writes streams, oneofs, optional fields, masks and the token", () => {
    const watch = write("Rust", watchMovies, { start: { case: "fullCopy", value: true } }, { authorized: true });
    expect(watch).toContain("start: Some(movie_proto::catalog::v1::watch_movies_request::Start::FullCopy(true)),");
    expect(watch).toContain("while let Some(message) = messages.message().await? {");
    expect(watch).toContain('request.metadata_mut().insert("authorization", token.parse()?);');
    const encrypted = write("Rust", getMovie, { id: "a" }, { base: "https://films.example/" });
    expect(encrypted).toContain('Channel::from_static("https://films.example:443").tls_config(tls)?.connect()');
    expect(encrypted).toContain('features = ["tls-ring", "tls-native-roots"]');
    const update = write("Rust", updateMovie, { movie: { rating: 8, year: 1979 }, updateMask: { paths: ["rating"] } });
    expect(update).toContain('// prost-types = "0.14"');
    expect(update).toContain(`\
    let request = tonic::Request::new(movie_proto::catalog::v1::UpdateMovieRequest {
        movie: Some(movie_proto::catalog::v1::Movie {
            rating: Some(8.0),
            year: 1979,
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["rating".to_owned()],
        }),
        ..Default::default()
    });
`);
  });

  test("escapes what does not show", () => {
    expect(write("Rust", getMovie, { id: HARD })).toContain(
      String.raw`"a'b\"c\\d\ne\u{9}f$HOME ` + "`id` !! %s {x} é 七 🎬" + String.raw`\u{0}\u{202e}"`,
    );
  });
});

test("nothing is written of a call that cannot be read", () => {
  const record = { service: "Movie", method: "GetMovieByID", url: "http://localhost/Movie/GetMovieByID", requestHeaders: [] };
  expect(readCall({ ...record, requestBytes: new Uint8Array() })).toBeUndefined();
  expect(readCall({ ...record, requestBytes: Uint8Array.of(0, 0, 0, 0, 9, 1) })).toBeUndefined();
  expect(readCall({ ...record, requestBytes: Uint8Array.of(0, 0, 0, 0, 1, 7) })).toBeUndefined();
  expect(readCall({ ...record, method: "Other", requestBytes: new Uint8Array(5) })).toBeUndefined();
  expect(LANGUAGES.every((language) => snippet(language, readCall({ ...record, requestBytes: new Uint8Array(5) })!))).toBe(true);
});
