"""Options and arguments that several commands share. Values stay text here: ``mvm_ci.config`` parses them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from mvm_ci.config import settings
from mvm_ci.config.source import Source

if TYPE_CHECKING:
    from mvm_ci.config.credentials import Credentials

Command = TypeVar("Command", bound=Callable[..., Any])
_ASIDE: Final = "mvm_ci.cli.options"
_TYPES: Final = {"FILE": click.Path(dir_okay=False), "DIRECTORY": click.Path(file_okay=False)}
"""So that a shell completes them; whether they are there is asked later."""


def setting_options(chosen: Sequence[settings.Setting[Any]]) -> Callable[[Command], Command]:
    """A flag for each setting that has one. The command gets them by name, as text."""

    def add(command: Command) -> Command:
        for setting in reversed(chosen):
            if setting.flag is not None:
                command = _option(setting)(command)
        return command

    return add


def client_options(command: Command) -> Command:
    """``--url``, ``--token-file``, ``--profile``, ``--config`` and ``--json``: to ask the control plane.

    The command gets ``url``, ``token_file`` and ``as_json``, and hands the first two to ``connection.ask``.
    """
    return setting_options((*settings.CLIENT, *settings.FILE))(json_option(command))


def json_option(command: Command) -> Command:
    """``--json``, for commands that print data; they get ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def local_options(command: Command) -> Command:
    """``--config`` and ``--json``, for commands that look at settings alone; they get ``as_json``."""
    return setting_options(settings.FILE)(json_option(command))


def source(flags: dict[str, Any], section: str | None = None) -> Source:
    """The settings of a command: its flags over the environment over a section of the configuration file.

    Raises ``Misconfigured``.
    """
    return Source.open(flags | _ambient(), os.environ, section)


def config_path() -> Path:
    """Where the configuration file is, or would be. Raises ``Misconfigured``."""
    return Source(_ambient(), os.environ).directory(settings.CONFIG)


def credentials(url: str | None, token_file: str | None) -> "Credentials":
    """Where the control plane is. Raises ``Misconfigured``."""
    from mvm_ci.config.client import client_config

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


def as_numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...]:
    """The callback of an option such as ``--rate 10,20.5``; the command gets numbers, growing."""
    if value is None:
        return ()
    try:
        found = tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of numbers, as 10,20,50", ctx, param) from None
    if not all(0 < one < before for before, one in zip((*found[1:], float("inf")), found, strict=True)):
        raise click.BadParameter(f"{value!r}: numbers above 0 that grow, as 10,20,50", ctx, param)
    return found


def as_whole_numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...]:
    """The same of whole ones."""
    found = as_numbers(ctx, param, value)
    if any(one != int(one) for one in found):
        raise click.BadParameter(f"{value!r} is no list of whole numbers, as 1,2,5", ctx, param)
    return tuple(int(one) for one in found)


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
    ambient = setting in settings.AMBIENT
    return click.option(
        str(setting.flag),
        setting.key,
        type=_TYPES.get(setting.metavar),
        metavar=setting.metavar,
        multiple=many,
        expose_value=not ambient,
        callback=_keep_aside if ambient else None,
        shell_complete=complete_profile if setting is settings.PROFILE else None,
        help=f"{setting.about}{repeat}  [{'; '.join(notes)}]",
    )


def _keep_aside(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Remembers ``--config`` and ``--profile`` for whichever command asks for settings."""
    if value is not None:
        ctx.meta.setdefault(_ASIDE, {})[param.name] = value


def _ambient() -> dict[str, Any]:
    context = click.get_current_context(silent=True)
    return {} if context is None else dict(context.meta.get(_ASIDE, {}))


def complete_profile(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's own
    """For a shell: the names of the profiles that begin so."""
    from mvm_ci.domain.errors import Misconfigured

    try:
        file = source({}).file
    except Misconfigured:
        return []  # the command itself will say what is wrong
    return [name for name in (file.profiles if file else ()) if name.startswith(incomplete)]
