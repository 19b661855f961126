"""``mvm-ci artifact get``."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient


@click.command()
@click.argument("job")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE|-",
    help="Where to write it; - is stdout.  [default: the last part of NAME, if there is no such file]",
)
@client_options
def get(
    *, job: str, name: str, target: str | None, url: str | None, token_file: str | None, as_json: bool
) -> None:
    """Download an artifact of a job.

    Its digest is checked. A file is there whole or not at all.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_job

    file = None if target == "-" else _file(name, target)

    async def work(client: "ApiClient") -> tuple[str, int]:
        found, size = await find_job(client, job), 0
        with _opened(file) as opened:
            async for piece in client.artifact(found, name):
                opened.write(piece)
                size += len(piece)
        return found, size

    found, size = ask(url, token_file, work)
    if file is not None:
        if as_json:
            output.print_json({"job": found, "name": name, "file": str(file), "size": size})
        else:
            output.note(f"{output.size(size)} in {file}")


def _file(name: str, target: str | None) -> Path:
    from mvm_ci.domain.errors import BadInput

    if target is not None:
        return Path(target)
    file = Path(name.rpartition("/")[2])
    if not file.name or file.name == "..":
        raise BadInput(f"{name!r} names no file; say where to write it: -o FILE")
    if file.exists() or file.is_symlink():
        raise BadInput(f"there is a file {file} already; say where to write it: -o FILE")
    return file


@contextmanager
def _opened(file: Path | None) -> Iterator[IO[bytes]]:
    """A file that takes its place when all is written, or stdout."""
    from mvm_ci.domain.errors import BadInput

    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with _placed(file) as opened:
            yield opened
    except OSError as error:
        raise BadInput(f"cannot write {file}: {error.strerror}") from None


@contextmanager
def _placed(file: Path) -> Iterator[IO[bytes]]:
    if file.exists() and not file.is_file():
        # A device or a pipe stays what it is.
        with file.open("wb") as opened:
            yield opened
        return
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name[:100]}.", delete=False) as draft:
        try:
            yield draft
            draft.flush()
            Path(draft.name).chmod(0o666 & ~_umask())
            Path(draft.name).replace(file)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
