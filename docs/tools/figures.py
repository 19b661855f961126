"""Puts measured numbers into the documents in ``docs/deployment``.

``docs/deployment/sources/NAME.in`` is the text of ``docs/deployment/NAME``, with references in the places of
numbers:

    {{ benchmark: option=4 workers=5 profile=noop rate }}

is the figure ``rate`` of the run ``docs/deployment/runs/benchmark.json``, of what the pairs choose: see
``runs.py`` and ``load_test.py``. ``A / B`` is the ratio of two references; ``>9`` or ``<9`` at the end pads
to nine columns. ``{{ minutes: NAME }}`` is how long it takes to read a document.

``make figures`` writes the documents anew; ``make docs`` and a test fail until they are as this program makes
them.
"""

import math
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from docs.tools import runs
from docs.tools.measured import NoFigure, Run, Value, shown

DEPLOYMENT: Final = Path(__file__).resolve().parent.parent / "deployment"
SOURCES: Final = DEPLOYMENT / "sources"
REFERENCE: Final = re.compile(r"\{\{ (?P<of>.+?)(?: (?P<side>[<>])(?P<width>\d+))? \}\}")
WORDS_A_MINUTE: Final = 200

Reader = Callable[[str], Run]


class Unrendered(Exception):
    """References that cannot be resolved; a line for each: file, line, reference, why."""


def rendered(source: Path, reader: Reader = runs.read) -> str:
    """The document of a source. Raises ``Unrendered``."""
    problems: list[str] = []
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)

    def value(number: int, found: re.Match[str]) -> str:
        try:
            text = _resolved(found["of"], reader)
        except NoFigure as why:
            problems.append(f"{source.parent.name}/{source.name}:{number}: {found[0]}: {why}")
            return found[0]
        width = int(found["width"] or 0)
        return text.rjust(width) if found["side"] == ">" else text.ljust(width)

    done = []
    for number, line in enumerate(lines, start=1):
        made = REFERENCE.sub(lambda found, number=number: value(number, found), line)  # type: ignore[misc]
        done.append(made.rstrip() + "\n")
    if problems:
        raise Unrendered("\n".join(problems))
    return "".join(done)


def documents() -> dict[Path, Path]:
    """Each document, and its source."""
    return {DEPLOYMENT / source.stem: source for source in sorted(SOURCES.glob("*.in"))}


def differing() -> list[Path]:
    """Documents that are not what their sources and the runs give. Raises ``Unrendered``."""
    return [
        made
        for made, source in documents().items()
        if not made.exists() or made.read_text(encoding="utf-8") != rendered(source, cache(runs.read))
    ]


def write() -> None:
    """Makes all documents anew: first those that tell how long the others are. Raises ``Unrendered``."""
    reader = cache(runs.read)
    by_length = sorted(documents().items(), key=lambda pair: "{{ minutes: " in pair[1].read_text("utf-8"))
    for made, source in by_length:
        made.write_text(rendered(source, reader), encoding="utf-8")


def _resolved(of: str, reader: Reader) -> str:
    references = of.split(" / ")
    if len(references) == 1:
        return shown(_value(of, reader))
    over, under = (_value(one, reader) for one in references)
    if isinstance(over, str) or isinstance(under, str) or not under:
        raise NoFigure("a ratio is of two numbers, the second one not 0")
    return f"{over / under:.2f}"


def _value(reference: str, reader: Reader) -> Value:
    name, colon, rest = reference.partition(": ")
    *pairs, what = rest.split() or [""]
    if not colon or not all("=" in pair for pair in pairs):
        raise NoFigure("a reference is RUN: KEY=VALUE … FIGURE")
    if name == "minutes":
        return _minutes(what)
    return reader(name).figure(what, dict(pair.split("=", 1) for pair in pairs))


def _minutes(name: str) -> int:
    document = DEPLOYMENT / name
    if not document.exists():
        raise NoFigure(f"there is no docs/deployment/{name}")
    return math.ceil(len(document.read_text(encoding="utf-8").split()) / WORDS_A_MINUTE)


if __name__ == "__main__":
    try:
        write()
    except Unrendered as why:
        sys.exit(str(why))
