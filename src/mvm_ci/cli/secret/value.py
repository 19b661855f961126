"""A secret's value for ``set`` and ``rotate``: from stdin or a file, never from the command line."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.secrets import MAX_BYTES

Command = TypeVar("Command", bound=Callable[..., Any])


def value_option(command: Command) -> Command:
    """``--from-file``; the command gets ``file`` and hands it to ``read_value``."""
    return click.option(
        "--from-file",
        "file",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="File with the value.  [default: stdin]",
    )(command)


def read_value(file: Path | None) -> str:
    """The value, without a line end at its end. Raises ``BadInput``, which never tells it."""
    where = "stdin" if file is None else str(file)
    if file is None and sys.stdin.isatty():
        raise BadInput(
            "stdin is a terminal, which shows what is typed: pipe the value in, or use --from-file"
        )
    try:
        if file is None:
            data = sys.stdin.buffer.read(2 * MAX_BYTES)
        else:
            with file.open("rb") as opened:
                data = opened.read(2 * MAX_BYTES)
    except OSError as error:
        raise BadInput(f"cannot read {where}: {error.strerror}") from None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise BadInput(
            f"{where}: a secret is text in UTF-8; write other bytes as text, in base64 for instance"
        ) from None
    return text.removesuffix("\n").removesuffix("\r")
