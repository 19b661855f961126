"""The options that say which jobs: of ``job list`` and of the commands that change jobs."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from mvm_ci.cli.gathered import Command, gathered
from mvm_ci.cli.options import as_seconds
from mvm_ci.cli.pairs import as_metadata

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JobSelection


@dataclass(frozen=True, slots=True)
class Selection:
    """``module``: as it was typed, while ``rest`` has none."""

    rest: "JobSelection"
    module: str | None

    @property
    def empty(self) -> bool:
        """Whether it selects all jobs."""
        from mvm_ci.wire.api import JobSelection

        return self.module is None and self.rest == JobSelection()

    async def find(self, client: "ApiClient") -> "JobSelection":
        """With the module's digest. Raises ``BadInput``, ``NotFound``."""
        import msgspec

        from mvm_ci.cli.naming import find_module

        if self.module is None:
            return self.rest
        return msgspec.structs.replace(self.rest, module=(await find_module(client, self.module)).digest)


_MODULE: Final = click.option(
    "--module", metavar="MODULE", help="Only jobs of this module: its name, NAME@VERSION or digest."
)
_OPTIONS: Final = (
    click.option("--state", "states", multiple=True, help="Only jobs in this state; may be repeated."),
    click.option("--queue", metavar="NAME", help="Only jobs of this queue."),
    click.option("--tag", "tags", multiple=True, help="Only jobs with this tag; may be repeated."),
    click.option(
        "--meta",
        "metadata",
        multiple=True,
        callback=as_metadata,
        metavar="KEY=VALUE",
        help="Only jobs with this metadata; may be repeated.",
    ),
    click.option("--name", help="Only jobs of this name."),
    click.option(
        "--older-than",
        callback=as_seconds,
        metavar="DURATION",
        help="Only jobs that were submitted so long ago.",
    ),
)


def selection_options(command: Command) -> Command:
    """The command gets ``selection``, a ``Selection``."""
    return gathered("selection", (_MODULE, *_OPTIONS), _selection)(command)


def selection_options_without_module(command: Command) -> Command:
    """The same for a command that has a ``--module`` of its own."""
    return gathered("selection", _OPTIONS, _selection)(command)


def _selection(
    *,
    states: tuple[str, ...],
    queue: str | None,
    tags: tuple[str, ...],
    metadata: dict[str, str],
    name: str | None,
    older_than: float | None,
    module: str | None = None,
) -> Selection:
    from mvm_ci.wire.api import JobSelection

    rest = JobSelection(
        states=tuple(map(_state, states)),
        queue=queue,
        name=name,
        tags=(*tags, *(f"{key}={value}" for key, value in metadata.items())),
        created_before_ms=None if older_than is None else round((time.time() - older_than) * 1000),
    )
    return Selection(rest, module)


def _state(text: str) -> str:
    from mvm_ci.domain.errors import BadInput
    from mvm_ci.domain.job import JobState

    labels = [state.label for state in JobState]
    state = text.lower().replace("-", "_")
    if state not in labels:
        raise BadInput(f"--state: there is no state {state!r}; there are {', '.join(labels)}")
    return state
