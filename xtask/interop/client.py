"""Calls a movie service the way the course's client does.

    client.py ADDRESS         make the course's two calls and print the answers as the course does
    client.py ADDRESS list    print the fields of every movie of the list, a movie a line
    client.py ADDRESS get     print the fields of the movie of each id on standard input, a movie a line
    client.py ADDRESS text    print the movie of each id on standard input as the course does
    client.py ADDRESS gzip    the same as get, with requests that are compressed
    client.py ADDRESS reflect print what reflection tells of the catalogue: its methods, the extensions of fields, a
                              message of error details, and whether there is a symbol that there is not
"""

import re
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from movie_pb2 import Empty, MovieID
from movie_pb2_grpc import MovieStub

COURSE_ID = "a8034f44-aee4-44cf-b32c-74cf452aaaae"


def text(movie):
    """The movie in protobuf's text format.

    The course's Python printed a rating with all the digits it has as a double, as `repr` does;
    newer ones print the fewest digits that make the same float.
    """
    return re.sub(r"(?m)^rating: .*", f"rating: {movie.rating!r}", str(movie))


def fields(movie):
    return f"{movie.title}\t{movie.rating!r}\t{movie.director}\t{movie.id}\n"


def course(stub):
    print("----- GetMovieByID -----")
    print(text(stub.GetMovieByID(MovieID(id=COURSE_ID))))
    print("----- GetListMovies -----")
    for movie in stub.GetListMovies(Empty()):
        print(f"Movie called {movie.title}")


def by_id(stub):
    for line in sys.stdin:
        yield stub.GetMovieByID(MovieID(id=line.removesuffix("\n")))


def reflect(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    for method in pool.FindServiceByName("movie.catalog.v1.MovieCatalog").methods:
        yield f"{method.name}\n"
    yield f"{database.FindAllExtensionNumbers('google.protobuf.FieldOptions')}\n"
    yield f"{pool.FindMessageTypeByName('google.rpc.ErrorInfo').file.name}\n"
    try:
        database.FindFileContainingSymbol("no.such.Symbol")
    except KeyError as error:
        yield f"{error.args[0]}\n"


def main(address, command="course"):
    compression = grpc.Compression.Gzip if command == "gzip" else None
    with grpc.insecure_channel(address, compression=compression) as channel:
        stub = MovieStub(channel)
        match command:
            case "course":
                course(stub)
            case "list":
                sys.stdout.writelines(map(fields, stub.GetListMovies(Empty())))
            case "get" | "gzip":
                sys.stdout.writelines(map(fields, by_id(stub)))
            case "text":
                sys.stdout.writelines(map(text, by_id(stub)))
            case "reflect":
                sys.stdout.writelines(reflect(channel))
            case _:
                sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
