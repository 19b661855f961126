"""A job's input from the command line: JSON, ``@file`` or ``-`` for stdin."""

import sys
from pathlib import Path

import msgspec

from mvm_ci.domain.errors import BadInput, TooLarge
from mvm_ci.wire.api import MAX_INPUT


def read_input(text: str, option: str = "--input") -> msgspec.Raw:
    """What was given as ``option``, as it goes to the job. Raises ``BadInput``."""
    data = _bytes(text, option)
    if len(data) > MAX_INPUT:
        raise TooLarge(f"{option}: more than {MAX_INPUT} bytes; put them where the job can fetch them")
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(
            f"{option}: not JSON: {error}; text needs its quotes, e.g. {option} '\"text\"'"
        ) from None
    return msgspec.Raw(data)


def _bytes(text: str, option: str) -> bytes:
    try:
        if text == "-":
            return sys.stdin.buffer.read(MAX_INPUT + 1)
        if text.startswith("@"):
            with Path(text[1:]).open("rb") as file:
                return file.read(MAX_INPUT + 1)
    except OSError as error:
        raise BadInput(f"{option}: cannot read {text.removeprefix('@')}: {error.strerror}") from None
    return text.encode(errors="surrogateescape")
