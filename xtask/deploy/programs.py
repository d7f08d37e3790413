"""The programs that are deployed: the options that they have, and a start with some of them."""

import os
import re
import select
import subprocess
import time
import tomllib
from pathlib import Path

START_SECONDS = 30

# Connections are closed within a second after the grace.
STOP_MARGIN_SECONDS = 1

# Options that name files of a container or a cluster.
FILES = {"MOVIE_TLS_CERT", "MOVIE_TLS_KEY", "MOVIE_TLS_CLIENT_CA", "MOVIE_TOKENS"}


def version(root: Path) -> str:
    """Returns the version of the workspace, which the chart and the image have as well."""
    return tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def flags_of(program: Path) -> set[str]:
    """Returns the flags and variables of a program, as its help has them."""
    printed = subprocess.run([program, "--help"], capture_output=True, text=True, check=True, timeout=10).stdout
    return set(re.findall(r"--[a-z-]+|\bMOVIE_[A-Z_]+", printed))


def stop_seconds(variables: dict[str, str]) -> int:
    """Returns the seconds within which a service with these variables stops."""
    options = (variables[name].removesuffix("s") for name in ("MOVIE_PAUSE", "MOVIE_GRACE"))
    return sum(int(value) for value in options) + STOP_MARGIN_SECONDS


def check_start(service: Path, args: list[str], variables: dict[str, str], movies: Path) -> None:
    """The service starts with these options, except for addresses and files that are not on this machine."""
    options = {name: value for name, value in variables.items() if name not in FILES}
    here = {"MOVIE_DATABASE": str(movies), "MOVIE_LISTEN": "127.0.0.1:0", "MOVIE_METRICS": "127.0.0.1:0"}
    environment = {"PATH": os.environ["PATH"], **options, **here}
    with subprocess.Popen([service, *args], env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as running:
        log = b""
        deadline = time.monotonic() + START_SECONDS
        while b"serving " not in log:
            ready, _, _ = select.select([running.stderr], [], [], max(0, deadline - time.monotonic()))
            more = os.read(running.stderr.fileno(), 65536) if ready else b""
            if not more:
                running.kill()
                raise AssertionError(f"the service does not start with {options}:\n{log.decode()}")
            log += more
        running.kill()
