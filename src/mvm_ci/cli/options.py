"""Options and arguments that several commands share. Values stay text here: ``mvm_ci.config`` parses them."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mvm_ci.config import settings
from mvm_ci.config.source import Source

if TYPE_CHECKING:
    from mvm_ci.config.credentials import Credentials

Command = TypeVar("Command", bound=Callable[..., Any])


def setting_options(chosen: Sequence[settings.Setting[Any]]) -> Callable[[Command], Command]:
    """A flag for each setting that has one. The command gets them by name, as text."""

    def add(command: Command) -> Command:
        for setting in reversed(chosen):
            if setting.flag is not None:
                command = _option(setting)(command)
        return command

    return add


def client_options(command: Command) -> Command:
    """``--url``, ``--token-file`` and ``--json``, for commands that ask the control plane."""
    shown = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    return setting_options(settings.CLIENT)(shown(command))


def source(flags: dict[str, Any]) -> Source:
    """The settings of a command: its flags over the environment."""
    return Source(flags, os.environ)


def credentials(url: str | None, token_file: str | None) -> "Credentials":
    """Where the control plane is. Raises ``Misconfigured``."""
    from mvm_ci.config.processes import client_config

    return client_config(source({"url": url, "token_file": token_file}))


def as_seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """The callback of an option such as ``--timeout 90s``; the command gets seconds."""
    from mvm_ci.config.parsers import positive_duration

    if value is None:
        return None
    try:
        return positive_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}", ctx, param) from None


def _option(setting: settings.Setting[Any]) -> Callable[[Command], Command]:
    many = setting in settings.LISTS
    variable = f"{setting.env}_FILE, {setting.env}" if setting in settings.SECRETS else setting.env
    notes = [f"env: {variable}"]
    if setting.default != "none":
        notes.append(f"default: {setting.default}")
    if setting in settings.SWITCHES:
        return click.option(
            str(setting.flag),
            setting.key,
            flag_value="1",
            default=None,
            help=f"{setting.about}  [env: {setting.env}]",
        )
    repeat = " May be given several times." if many else ""
    return click.option(
        str(setting.flag),
        setting.key,
        metavar=setting.metavar,
        multiple=many,
        help=f"{setting.about}{repeat}  [{'; '.join(notes)}]",
    )
