"""Asking before something is destroyed: on a terminal a question, elsewhere ``--yes`` or nothing.

::

    @click.command()
    @click.argument("worker")
    @yes_option
    @client_options
    def forget(*, worker: str, yes: bool, ...) -> None:
        confirm(f"forget the worker {worker}", yes=yes)
"""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from mvm_ci.domain.errors import BadInput, MvmCiError

Command = TypeVar("Command", bound=Callable[..., Any])


class Declined(MvmCiError):
    """The person at the terminal said no."""

    code = "declined"


def yes_option(command: Command) -> Command:
    """``--yes``; the command gets ``yes`` and hands it to ``confirm``."""
    return click.option("--yes", is_flag=True, help="Do not ask; needed off a terminal.")(command)


def confirm(action: str, *, yes: bool) -> None:
    """Returns if ``action`` ("delete 3 jobs") is to be done: ``yes`` was given, or a person says so.

    Raises ``Declined`` (exit code 130) at any other answer, and ``BadInput`` (2) if nobody can be asked.
    The question goes to stderr. Call it before ``connection.ask``, or outside of its event loop: it waits.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise BadInput(f"not done: {action}; nobody can be asked off a terminal, give --yes")
    click.echo(f"{action[:1].upper()}{action[1:]}? [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Declined(f"not done: {action}")
