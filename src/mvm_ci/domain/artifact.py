"""Artifacts: bytes with a name that a job keeps for users and for other jobs; content-addressed blobs."""

import re
from collections.abc import Collection
from typing import Final

import msgspec

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.http import Header
from mvm_ci.domain.ids import Digest

MAX_ARTIFACT: Final = 4 << 30
"""Bytes of one artifact."""
MAX_ARTIFACTS: Final = 1_000
"""Artifacts of one job, its inputs included."""
MAX_INPUTS: Final = 100
"""Artifacts that a job is given."""
MAX_NAME: Final = 200
"""Characters of a name."""
MAX_PART: Final = 255
"""Bytes of what stands between the slashes of a name: of a file's name."""
MAX_MEDIA: Final = 100
"""Characters of a media type."""
MAX_PIECE: Final = 1 << 20
"""Bytes that a guest writes or reads at once."""
PUT: Final = "artifact.put"
"""What an engine asks the control plane once the bytes are there."""
GET: Final = "artifact.get"
"""What a guest asks for, to be told digest and size."""
_MEDIA: Final = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w.+-]+)*", re.ASCII)


class Artifact(msgspec.Struct, frozen=True, array_like=True):
    """``media``: its media type, empty if nobody said."""

    name: str
    digest: Digest
    size: int
    media: str = ""


def check_name(name: str, where: str = "name") -> None:
    """Raises ``BadInput``, saying where, for what is no name: printable text, which may have slashes. Between
    them stands something, and nowhere ``.`` or ``..``: so it leads nowhere else, should somebody take it for
    a path.
    """
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise BadInput(f"{where}: {name[:80]!r} is not 1 to {MAX_NAME} printable characters")
    for part in name.split("/"):
        if part in {"", ".", ".."}:
            raise BadInput(f"{where}: {name[:80]!r} has a part that is empty, . or ..")
        if len(part.encode()) > MAX_PART:
            raise BadInput(f"{where}: {name[:80]!r} has a part of more than {MAX_PART} bytes")


def check_inputs(names: Collection[str], where: str) -> None:
    """Raises ``BadInput`` for names that are not those of files that can be beside each other."""
    if len(names) > MAX_INPUTS:
        raise BadInput(f"{where}: {len(names)} artifacts; at most {MAX_INPUTS} are allowed")
    for name in names:
        check_name(name, where)
        above = name
        while (above := above.rpartition("/")[0]) != "":
            if above in names:
                raise BadInput(f"{where}: {above[:80]!r} would be a file, and a directory for {name[:80]!r}")


def media_of(headers: tuple[Header, ...]) -> str:
    """The media type that an answer's headers say, if it is one of ours."""
    said = next((value for name, value in headers if name == "content-type"), "")
    return said if len(said) <= MAX_MEDIA and _MEDIA.fullmatch(said) else ""


def check_media(media: str, where: str = "media") -> None:
    """Raises ``BadInput``, saying where, for what is no media type."""
    if media and (len(media) > MAX_MEDIA or not _MEDIA.fullmatch(media)):
        raise BadInput(f"{where}: {media[:80]!r} is no media type such as text/plain")
