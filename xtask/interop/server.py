"""Serves a JSON database the way the course's server does, on a free port.

    server.py DATABASE
"""

import json
import sys
from concurrent import futures

import grpc
from movie_pb2 import MovieData
from movie_pb2_grpc import MovieServicer, add_MovieServicer_to_server


class Servicer(MovieServicer):
    def __init__(self, database):
        with open(database, encoding="utf-8") as file:
            entries = json.load(file)["movies"]
        self.movies = {entry["id"]: to_message(entry) for entry in entries}

    def GetMovieByID(self, request, context):
        return self.movies.get(request.id, MovieData())

    def GetListMovies(self, request, context):
        yield from self.movies.values()


def to_message(entry):
    """The movie of an entry in the database; a key that is missing leaves its field empty."""
    return MovieData(**{key: entry[key] for key in ("title", "rating", "director", "id") if key in entry})


def main(database):
    servicer = Servicer(database)
    server = grpc.server(futures.ThreadPoolExecutor())
    add_MovieServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # The same words as the service's, so that whoever starts either reads the address from it.
    print(f"serving {len(servicer.movies)} movies from {database} on 127.0.0.1:{port}", file=sys.stderr)
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
