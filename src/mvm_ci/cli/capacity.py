"""What ``plan`` and ``decide`` have in common: their options, and files of results."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from mvm_ci.capacity.curve import Run

_MAX_FILE: Final = 256 << 20
_MOST: Final = 1_000_000


class _Rate(click.FloatRange):
    """A number of jobs a second, which "nan" is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's own
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is no number", param, ctx)
        return found


WORKERS: Final = click.IntRange(1, _MOST)
RATE: Final = _Rate(0, _MOST, min_open=True)

results_option = click.option(
    "--results",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What mvm-ci loadtest wrote. May be given several times.",
)
objective_option = click.option(
    "--slo",
    default="p99=250ms",
    metavar="p99=DURATION",
    help="What the time of a job must not exceed; also p50, p90, p999.  [default: p99=250ms]",
)
untrusted_option = click.option(
    "--untrusted",
    type=click.Choice(["jobs", "machines"]),
    multiple=True,
    help="What is not trusted: the code of jobs, or the machines of workers. May be given several times.",
)


def read_runs(files: tuple[Path, ...]) -> tuple["Run", ...]:
    """The results in some files. Raises ``BadInput``, which says in which file what is wrong."""
    from mvm_ci.capacity.curve import Run
    from mvm_ci.capacity.results import read
    from mvm_ci.domain.errors import BadInput

    runs = []
    for file in files:
        try:
            with file.open("rb") as opened:
                data = opened.read(_MAX_FILE + 1)
        except OSError as error:
            raise BadInput(f"--results {file}: {error.strerror}") from None
        if len(data) > _MAX_FILE:
            raise BadInput(f"--results {file}: has more than {_MAX_FILE >> 20} MiB")
        runs.append(Run(name=file.name, result=read(data, f"--results {file}")))
    return tuple(runs)


def check_writable(flag: str, file: Path) -> int:
    """Raises ``BadInput`` if a file cannot be written: now, and not when all is done. Changes nothing; the
    permissions that it has, or would get.
    """
    new = not file.exists()
    write(flag, file, "", mode="a")
    permissions = file.stat().st_mode & 0o777
    if new:
        file.unlink()
    return permissions


def write(flag: str, file: Path, text: str, mode: str = "w") -> None:
    """Writes what an option asked for. Raises ``BadInput``."""
    from mvm_ci.domain.errors import BadInput

    try:
        with file.open(mode, encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise BadInput(f"{flag} {file}: {error.strerror}") from None
