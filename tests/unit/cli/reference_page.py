"""``docs/reference/cli.md`` as the commands themselves describe it.

After a change to a command: ``python -m tests.unit.cli.reference_page``.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from mvm_ci.cli.lazy import LazyGroup
from mvm_ci.cli.main import root

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "cli.md"
INTRODUCTION = """# Command line

Data goes to stdout, everything else to stderr; `--json` prints data as JSON, with every field always there.
What the exit codes mean: [Exit codes](exit-codes.md). Where settings come from: [Settings](settings.md).

A job is named by its id or at least four characters of its beginning; a module by a file, a published name or
`NAME@VERSION`, its digest, the beginning of one, or the name it was pushed with, in this order; a worker by
its name, its id or the beginning of one. What is ambiguous is refused, with the matches.

A duration is written `250ms`, `90s`, `1h30m` or `7d`; a number alone means seconds. A time has its zone,
`2030-01-31T18:00:00+01:00`, or counts from now on, `+90m`. No command asks anything
off a terminal: there, what destroys something needs `--yes`.
"""


def commands(
    command: click.Command = root, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its path, the root first."""
    yield path, command
    if isinstance(command, LazyGroup):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, (*path, name))


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    parts += [_section(path, command) for path, command in commands() if path]
    return "\n".join(parts)


def _section(path: tuple[str, ...], command: click.Command) -> str:
    name = " ".join(("mvm-ci", *path))
    arguments = [
        param.make_metavar(click.Context(command))
        for param in command.params
        if isinstance(param, click.Argument)
    ]
    if isinstance(command, LazyGroup):
        arguments.append("[COMMAND]" if command.invoke_without_command else "COMMAND")
    options = [param for param in command.params if isinstance(param, click.Option)]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *arguments])
    text = f"## `{name}`\n\n    {usage}\n\n{cleandoc(command.help or '')}\n"
    if isinstance(command, LazyGroup):
        text += "\n" + "".join(f"- `{below}`: {entry.summary}\n" for below, entry in command.lazy.items())
    if options:
        text += "\n| Option | Meaning |\n|---|---|\n"
        text += "".join(_row(click.Context(command), option) for option in options)
    return text


def _row(context: click.Context, option: click.Option) -> str:
    record = option.get_help_record(context)
    assert record is not None
    # In a table "|" ends a cell, also between backticks.
    names, meaning = (" ".join(part.split()).replace("|", "&#124;") for part in record)
    shown = f"<code>{names}</code>" if "&#124;" in names else f"`{names}`"
    return f"| {shown} | {meaning} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
