"""How commands show a worker."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli import output
from mvm_ci.domain.labels import format_labels

if TYPE_CHECKING:
    from mvm_ci.wire.api import WorkerView


def print_state(view: "WorkerView", *, as_json: bool, state: str | None = None) -> None:
    """What became of a worker; ``state``: instead of the one it is in."""
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(output.safe_line(f"{view.name} {view.id[:12]}: {state or view.state}"))


def state_of(view: "WorkerView") -> str:
    """Its state, and that it does nothing."""
    return f"{view.state}, stalled" if view.stalled else view.state


def version_of(view: "WorkerView") -> str:
    """Its version, and that it is older than the control plane's."""
    return f"{view.version} (old)" if view.outdated else view.version


def labels_of(view: "WorkerView") -> str:
    """Its labels as they are typed."""
    return format_labels(view.labels)
