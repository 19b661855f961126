"""Tables and values for people."""

from __future__ import annotations

import pytest

from mvm_ci.cli import output

COLUMNS = ("ID", "NAME", "WHY")
ROWS = [("j01h2xk9q0w0c4", "checker", "error: " + "x" * 100), ("j01h2xk9q0w0d5", "n", None)]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_shows_a_row_on_a_line(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")  # on a dumb one the width is not asked for
    output.print_table(COLUMNS, ROWS, cut=("NAME", "WHY"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(len(line) <= width for line in lines[1:])  # the heading is bold
    assert lines[1].startswith("j01h2xk9q0w0c4  ")
    assert lines[1].rstrip().endswith("…")


def test_a_pipe_gets_everything(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(COLUMNS, ROWS, cut=("WHY",))
    assert "x" * 100 in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (26_877_493, "25.6 MiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert output.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s ago"), (59.4, "59 s ago"), (60, "1 min ago"), (7_300, "2 h ago"), (86_400, "1 d ago")],
)
def test_how_long_ago(seconds: float, text: str) -> None:
    assert output.ago(1_000_000, 1_000 + seconds) == text
    assert output.ago(None) is None
