"""How far a long command is: a bar on a terminal, elsewhere lines now and then."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import click

from mvm_ci.cli.output import safe_line

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from mvm_ci.ports.progress import Progress

_LINE_EVERY_S: Final = 30.0


@contextlib.contextmanager
def shown_progress(stream: TextIO) -> Iterator["Progress"]:
    """Shows it on ``stream`` while the block lasts. If that is closed meanwhile, nobody sees it, and that is
    all.
    """
    if not stream.isatty():
        yield _Lines(_lasting(stream))
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[more]}"),
    )
    with Progress(*columns, console=Console(file=_lasting(stream)), transient=True) as bars:
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


def _lasting(stream: TextIO) -> TextIO:
    return cast("TextIO", _Lasting(stream))


class _Lasting:
    """A stream that may be gone: a terminal that was closed, a pipe whose reader has ended."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the stream's
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


class _Lines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._phase = ""
        self._next_s = 0.0

    def phase(self, text: str, seconds: float) -> None:
        about = f" ({seconds:.0f} s)" if seconds else ""
        self._phase, self._next_s = text, _LINE_EVERY_S
        click.echo(f"{text}{about}", self._stream)

    def goes_on(self, for_s: float, text: str) -> None:
        if for_s >= self._next_s:
            self._next_s += _LINE_EVERY_S
            click.echo(f"{self._phase}: {for_s:.0f} s, {text}", self._stream)

    def told(self, text: str) -> None:
        click.echo(safe_line(text), self._stream)


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
