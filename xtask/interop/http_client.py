"""Calls a movie service in JSON over HTTP, with the client that openapi-python-client generates as `movie_catalogue`.

    http_client.py ADDRESS course   make the course's two calls and print the responses as the course does
    http_client.py ADDRESS western  print the titles of the ten best Westerns
    http_client.py ADDRESS samurai  print the titles that a search with a typing error finds
    http_client.py ADDRESS write    create, read, change, import, list and delete movies, and print what happens
"""

import struct
import sys
from io import BytesIO

from movie_catalogue import Client
from movie_catalogue.api.movie import get_list_movies, get_movie_by_id
from movie_catalogue.api.movie_catalog import (
    batch_get_movies,
    create_movie,
    delete_movie,
    get_catalog,
    get_movie,
    import_movies,
    list_movies,
    search_movies,
    update_movie,
)
from movie_catalogue.models import MovieInput, PartialMovie
from movie_catalogue.types import File

COURSE_ID = "a8034f44-aee4-44cf-b32c-74cf452aaaae"


def course(client):
    movie = get_movie_by_id.sync(COURSE_ID, client=client)
    # The number that the course prints: the float of the contract, widened.
    (rating,) = struct.unpack("f", struct.pack("f", movie.rating))
    print("----- GetMovieByID -----")
    print(f'title: "{movie.title}"\nrating: {rating!r}\ndirector: "{movie.director}"\nid: "{movie.id}"\n')
    print("----- GetListMovies -----")
    for movie in get_list_movies.sync(client=client):
        print(f"Movie called {movie.title}")


def western(client):
    page = list_movies.sync(client=client, filter_genres=["Western"], order_by="rating desc", page_size=10)
    for movie in page.movies:
        print(f"Movie called {movie.title}")


def samurai(client):
    for hit in search_movies.sync(client=client, query="sevn samurai").hits:
        print(f"Movie called {hit.movie.title}")


def write(client):
    def status(response):
        reasons = [detail["reason"] for detail in response.parsed.error.details if "reason" in detail.additional_properties]
        return f"{int(response.status_code)} {', '.join(reasons)}"

    created = create_movie.sync_detailed(client=client, body=MovieInput(title="Creed III", year=2023), idempotency_key="1")
    movie = created.parsed
    print(int(created.status_code), movie.title, movie.year, created.headers["location"] == f"/v1/movies/{movie.id}")
    again = create_movie.sync(client=client, body=MovieInput(title="Creed III", year=2023), idempotency_key="1")
    print("sent again:", again.id == movie.id)
    read = get_movie.sync_detailed(movie.id, client=client)
    known = get_movie.sync_detailed(movie.id, client=client, if_none_match=read.headers["etag"])
    print("read:", read.parsed == movie, int(known.status_code))
    body = PartialMovie(rating=7.5, genres=["Drama"])
    changed = update_movie.sync(movie.id, client=client, body=body, update_mask="rating,genres", if_match=movie.etag)
    print("changed:", changed.title, changed.rating, changed.genres)
    print("stale:", status(update_movie.sync_detailed(movie.id, client=client, body=body, if_match=movie.etag)))
    print("invalid:", status(create_movie.sync_detailed(client=client, body=MovieInput(title="Creed", year=1800))))
    lines = b'{"id": "a", "title": "A"}\n{"id": "b", "title": "B"}\n'
    imported = import_movies.sync(client=client, body=File(payload=BytesIO(lines)))
    print("imported:", imported.created)
    batch = batch_get_movies.sync(client=client, ids=["b", "a"])
    print("batch:", [movie.title for movie in batch.movies])
    deleted = delete_movie.sync_detailed(movie.id, client=client, if_match=changed.etag)
    print("deleted:", int(deleted.status_code), status(get_movie.sync_detailed(movie.id, client=client)))
    print("movies:", get_catalog.sync(client=client).movie_count)


def main(address, command):
    commands = {"course": course, "western": western, "samurai": samurai, "write": write}
    with Client(base_url=f"http://{address}", raise_on_unexpected_status=True) as client:
        commands[command](client)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
