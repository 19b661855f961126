"""How far a long command is: a bar on a terminal, elsewhere lines now and then."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol, TextIO

import click

from mvm_ci.cli.output import safe_line

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_LINE_EVERY_S: Final = 30.0


class Progress(Protocol):
    """What shows it."""

    def phase(self, text: str, seconds: float) -> None:
        """Something begins that takes so long; 0: nobody knows how long."""

    def goes_on(self, for_s: float, text: str) -> None:
        """The phase has gone on ``for_s``."""

    def told(self, text: str) -> None:
        """One line on something that is over."""


@contextlib.contextmanager
def shown_progress(stream: TextIO) -> Iterator[Progress]:
    """Shows it on ``stream`` while the block lasts."""
    if not stream.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[more]}"),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bars:
        yield _Bar(bars)


def cancel_when_asked() -> None:
    """SIGTERM, and SIGHUP of a terminal that closes, do what Ctrl-C does; a second one ends the process."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    # Under nohup SIGHUP is ignored, and is to be.
    heeded = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]

    def cancel() -> None:
        for number in heeded:
            loop.remove_signal_handler(number)
        if task is not None:
            task.cancel()

    for number in heeded:
        loop.add_signal_handler(number, cancel)


class _Lines:
    def __init__(self) -> None:
        self._phase = ""
        self._next_s = 0.0

    def phase(self, text: str, seconds: float) -> None:
        about = f" ({seconds:.0f} s)" if seconds else ""
        self._phase, self._next_s = text, _LINE_EVERY_S
        click.echo(f"{text}{about}", err=True)

    def goes_on(self, for_s: float, text: str) -> None:
        if for_s >= self._next_s:
            self._next_s += _LINE_EVERY_S
            click.echo(f"{self._phase}: {for_s:.0f} s, {text}", err=True)

    def told(self, text: str) -> None:
        click.echo(safe_line(text), err=True)


class _Bar:
    def __init__(self, bars: "Bars") -> None:
        self._bars = bars
        self._task = bars.add_task("beginning", total=None, more="")

    def phase(self, text: str, seconds: float) -> None:
        self._bars.remove_task(self._task)
        self._task = self._bars.add_task(text, total=seconds or None, more="")

    def goes_on(self, for_s: float, text: str) -> None:
        self._bars.update(self._task, completed=for_s, more=text)

    def told(self, text: str) -> None:
        from rich.text import Text

        self._bars.console.print(Text(safe_line(text)))
