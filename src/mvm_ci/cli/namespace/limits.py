"""The options that set a quota, and quotas as they are shown."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from mvm_ci.wire.api import NamespaceView

Command = TypeVar("Command", bound=Callable[..., Any])
UNLIMITED: Final = "none"
_COUNT: Final = re.compile(r"(\d{1,15})")
_SIZE: Final = re.compile(r"(\d{1,15})(KiB|MiB|GiB|TiB)?")
_UNITS: Final = {None: 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}

Limit = int | str | None
"""A number, ``UNLIMITED``, or None: not given."""


def quota_options(command: Command) -> Command:
    """``--max-waiting``, ``--max-running`` and ``--max-bytes``; the command gets each as a ``Limit``."""
    for name, pattern, about in (
        (
            "--max-bytes",
            _SIZE,
            "Stored bytes of inputs, results, artifacts and modules, e.g. 10GiB; or none.",
        ),
        ("--max-running", _COUNT, "Jobs that run at once; or none."),
        ("--max-waiting", _COUNT, "Jobs that wait; or none."),
    ):
        metavar = "SIZE|none" if pattern is _SIZE else "N|none"
        command = click.option(name, metavar=metavar, callback=_reader(pattern), help=about)(command)
    return command


def number(limit: Limit) -> int | None:
    """What the API is told."""
    return limit if isinstance(limit, int) else None


def print_namespaces(views: Iterable["NamespaceView"]) -> None:
    """A table of namespaces."""
    from mvm_ci.cli import output

    output.print_table(
        ("NAME", "MAX WAITING", "MAX RUNNING", "MAX BYTES", "CREATED"),
        (
            (
                view.name,
                _shown(view.max_waiting),
                _shown(view.max_running),
                _shown(view.max_bytes),
                output.local(view.created_ms) if view.created_ms else None,
            )
            for view in views
        ),
    )


def print_namespace(view: "NamespaceView", *, as_json: bool) -> None:
    """One namespace."""
    from mvm_ci.cli import output

    if as_json:
        output.print_json(output.fields(view))
        return
    output.print_fields(
        (
            ("name", view.name),
            ("created", output.when(view.created_ms) if view.created_ms else None),
            ("max waiting", _shown(view.max_waiting)),
            ("max running", _shown(view.max_running)),
            ("max bytes", _shown(view.max_bytes)),
        )
    )


def _shown(limit: int | None) -> str:
    return UNLIMITED if limit is None else str(limit)


def _reader(pattern: re.Pattern[str]) -> Callable[[click.Context, click.Parameter, str | None], Limit]:
    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> Limit:
        if value is None or value == UNLIMITED:
            return value
        match = pattern.fullmatch(value)
        if match is None:
            kinds = "a size such as 500MiB" if pattern is _SIZE else "a number"
            raise click.BadParameter(f"{value!r} is neither {kinds} nor {UNLIMITED}", ctx, param)
        return int(match[1]) << (_UNITS[match[2]] if pattern is _SIZE else 0)

    return read
