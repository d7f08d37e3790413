"""Checks bills of materials: their format by the schema of CycloneDX, their packages by Cargo.lock.

Usage: check_sbom.py Cargo.lock FOLDER
"""

import json
import sys
import tomllib
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

# A package that every program uses, and packages that only tests use.
USED = "tonic"
ONLY_TESTS = {"criterion", "proptest", "trycmd"}


def check(bill: Path, lock: Path, locked: dict[tuple[str, str], str | None]) -> str:
    """Checks one bill, and returns a line about it."""
    text = bill.read_text()
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    assert error is None, f"{bill}: not CycloneDX 1.5: {error}"
    content = json.loads(text)
    described = content["metadata"]["component"]
    assert f"{described['name']}.cdx.json" == bill.name, f"{bill}: describes {described['name']}"
    assert str(lock.parent) not in text, f"{bill}: has a path of this machine"

    names = set()
    for component in content["components"]:
        package = (component["name"], component["version"])
        assert package in locked, f"{bill}: {package} is not in Cargo.lock"
        hashes = [entry["content"] for entry in component.get("hashes", [])]
        expected = [checksum] if (checksum := locked[package]) else []
        assert hashes == expected, f"{bill}: {package} has the hashes {hashes}, Cargo.lock {expected}"
        names.add(component["name"])
    assert USED in names, f"{bill}: without {USED}"
    assert not names & ONLY_TESTS, f"{bill}: has packages of tests: {names & ONLY_TESTS}"
    return f"{bill.name}: CycloneDX 1.5, {len(content['components'])} packages, all in Cargo.lock"


def main() -> None:
    """Checks every bill in a folder."""
    lock, folder = (Path(argument).resolve() for argument in sys.argv[1:])
    packages = tomllib.loads(lock.read_text())["package"]
    locked = {(package["name"], package["version"]): package.get("checksum") for package in packages}
    for bill in sorted(folder.glob("*.cdx.json")):
        print(check(bill, lock, locked))


main()
