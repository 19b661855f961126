"""How far a long command is, shown to somebody who may go away."""

from __future__ import annotations

import io

import pytest

from mvm_ci.cli.progress import shown_progress


class Screen(io.StringIO):
    """``gone``: nobody reads it any more."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.gone = False
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        if self.gone:
            raise OSError(5, "Input/output error")
        return super().write(text)

    def flush(self) -> None:
        if self.gone:
            raise BrokenPipeError


@pytest.mark.parametrize("terminal", [True, False])
def test_it_says_how_far_it_is_until_nobody_reads_that(terminal: object) -> None:
    screen = Screen(terminal=bool(terminal))
    with shown_progress(screen) as progress:
        progress.phase("measuring", 60)
        progress.goes_on(31, "100 jobs/s")
        progress.told("1 worker: 100 jobs/s")
        assert "1 worker: 100 jobs/s" in screen.getvalue()
        screen.gone = True
        before = screen.getvalue()
        progress.phase("measuring more", 60)
        progress.goes_on(61, "100 jobs/s")
        progress.told("2 workers: 200 jobs/s")
    assert screen.getvalue() == before


def test_where_there_is_no_terminal_a_phase_is_a_line_and_one_every_half_minute() -> None:
    screen = Screen(terminal=False)
    with shown_progress(screen) as progress:
        progress.phase("measuring", 60)
        for second in range(60):
            progress.goes_on(second, f"{second} jobs/s")
        progress.phase("removing its jobs", 0)
    assert screen.getvalue().splitlines() == [
        "measuring (60 s)",
        "measuring: 30 s, 30 jobs/s",
        "removing its jobs",
    ]
