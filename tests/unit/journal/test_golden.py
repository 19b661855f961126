"""Stored journals of every format version can be read for ever.

``tests/golden/journal/v<version>/<name>.bin`` is a segment's data, ``<name>.json`` the entries it means.
The files are never written anew: a change that fails here breaks the journals of users. To ADD one, for a
new entry, field or version, run this once, from the repository's root, and commit both files::

    import msgspec
    from pathlib import Path
    from mvm_ci.journal.codec import split
    name, entries = "v1/my-new-case", [...]
    path = Path("tests/golden/journal", name)
    with path.with_suffix(".bin").open("xb") as file:  # "x": fails if it is there
        file.write(split(entries, 0)[0].data)
    with path.with_suffix(".json").open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(entries), indent=1))
"""

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from mvm_ci.journal.codec import decode_data, split
from mvm_ci.journal.entries import FORMAT_VERSION, Entry

GOLDEN = Path(__file__).parents[2] / "golden" / "journal"
FILES = sorted(GOLDEN.glob("v*/*.bin"))


def expected(path: Path) -> list[Entry]:
    return msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=list[Entry])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_it_means_what_it_meant(path: Path) -> None:
    assert decode_data(path.read_bytes()) == expected(path)


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parent.name == f"v{FORMAT_VERSION}"], ids=lambda path: path.stem
)
def test_the_current_version_is_written_byte_for_byte(path: Path) -> None:
    (segment,) = split(expected(path), 0)
    assert segment.data == path.read_bytes()


def test_every_entry_of_the_current_version_is_there() -> None:
    seen = {type(e) for path in FILES if path.parent.name == f"v{FORMAT_VERSION}" for e in expected(path)}
    assert seen == set(get_args(Entry))
