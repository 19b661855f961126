"""Options that belong together: a command gets one value made of them all."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def gathered(
    name: str,
    options: Sequence[Callable[[Any], Any]],
    make: Callable[..., Any],
    *,
    takes: Sequence[str] = (),
) -> Callable[[Command], Command]:
    """Adds ``options`` (from ``click.option``) to a command, which gets ``name``: what ``make`` makes of
    them, by their parameters' names. ``takes``: what was gathered by decorators above this one and goes
    into it, too.
    """

    def add(command: Command) -> Command:
        @wraps(command)
        def call(**values: Any) -> Any:  # noqa: ANN401 - a command's own
            chosen = {key: values.pop(key) for key in keys}
            return command(**values, **{name: make(**chosen)})

        already = len(_params(command))
        for option in reversed(options):
            option(call)
        keys = [*takes, *(str(param.name) for param in _params(call)[already:])]
        return call  # type: ignore[return-value] # the same but for its keywords

    return add


def _params(command: Callable[..., Any]) -> list[click.Parameter]:
    params: list[click.Parameter] = getattr(command, "__click_params__", [])
    return params
