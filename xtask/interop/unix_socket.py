"""Calls a movie service over a Unix socket.

    unix_socket.py ADDRESS    make a call as grpcio does by itself, and one with another authority; print the version of
                              grpcio and what became of the calls

It needs grpcio alone, of any version.
"""

import sys

import grpc

OPTIONS = {"by itself": (), "with an authority": (("grpc.default_authority", "localhost"),)}


def main(address):
    print(grpc.__version__)
    for name, options in OPTIONS.items():
        with grpc.insecure_channel(address, options=options) as channel:
            # A message without any fields takes no bytes.
            call = channel.unary_unary("/Movie/GetMovieByID")
            try:
                print(f"{name}: {call(b'', timeout=60)}")
            except grpc.RpcError as error:
                print(f"{name}: {error.code().name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
