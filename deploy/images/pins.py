"""Prints a part of ``requirements.lock``: what a project or package needs to run, each with its hashes.

::

    pins.py LOCK NAME [--without PACKAGE...]

``NAME`` is a package of the lock, or the project itself (its run-time dependencies). A package that only
those in ``--without`` need is left out with them. The lock says in its comments who needs what; the standard
library is all that this takes, since it runs in an image that has nothing else yet.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

_PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)==")
_NEEDED_BY = re.compile(r"    #(?: via|  ) (?P<name>\S+)(?: \((?P<group>\S+)\))?$")


def part(lock: str, root: str, without: frozenset[str]) -> str:
    """The pins that ``root`` needs, in the lock's order. Raises ``ValueError``: the lock has none for it, or
    none of what ``without`` names.
    """
    pins, parents = _read(lock)
    unknown = sorted(without - pins.keys())
    if unknown:
        raise ValueError(f"not in the lock: {', '.join(unknown)}")
    wanted = {root} & pins.keys()
    while found := {name for name in pins.keys() - wanted - without if (wanted | {root}) & parents[name]}:
        wanted |= found
    if not wanted:
        raise ValueError(f"the lock has nothing that {root!r} needs")
    return "".join(text for name, text in pins.items() if name in wanted)


def _read(lock: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    """The text of each pin, and who needs it. A need of a group (of developers) is not one of the project."""
    pins: dict[str, str] = {}
    parents: dict[str, set[str]] = {}
    name = ""
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            name = pin["name"]
            pins[name], parents[name] = "", set()
        if not name:
            continue
        if (by := _NEEDED_BY.match(line)) and ":" not in (by["group"] or ""):
            parents[name].add(by["name"])
        if not line.lstrip().startswith("#"):
            pins[name] += line + "\n"
    return pins, parents


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Print the part of a lock that a project or package needs.")
    parser.add_argument("lock", type=Path)
    parser.add_argument("name")
    parser.add_argument("--without", nargs="+", default=[], metavar="PACKAGE")
    asked = parser.parse_args()
    try:
        print(part(asked.lock.read_text(encoding="utf-8"), asked.name, frozenset(asked.without)), end="")
    except (OSError, ValueError) as error:
        sys.exit(f"pins.py: {error}")


if __name__ == "__main__":
    main()
