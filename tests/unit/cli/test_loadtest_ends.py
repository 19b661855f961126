"""How ``mvm-ci loadtest`` ends: its exit code by what it found, and what ends it from outside."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mvm_ci.capacity.results import Cluster, Result, Soak, read
from mvm_ci.cli import exits
from mvm_ci.cli.main import root
from mvm_ci.cli.progress import cancel_when_asked
from mvm_ci.loadtest import run as runs
from mvm_ci.loadtest.run import INTERRUPTED
from tests.unit.capacity.recorded import MACHINE
from tests.unit.loadtest.report.samples import measured, soak

STEP = measured(1, 30, 50)


def result(found: Soak | None = None, ended_by: str = "") -> Result:
    return Result(
        command="mvm-ci loadtest",
        began_ms=0,
        took_s=60.0,
        complete=not ended_by,
        ended_by=ended_by,
        machine=MACHINE,
        cluster=Cluster(address="local", version="9.9"),
        profiles={"wait": "waits"},
        steps=(STEP,),
        soak=found,
    )


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (result(), exits.OK),
        (result(soak()), exits.OK),
        (result(soak(lost=1)), exits.JOB_FAILED),
        (result(soak(doubled=1)), exits.JOB_FAILED),
        (result(soak(failed=1)), exits.JOB_FAILED),
        (result(soak(problems=("3 jobs ended, and 2 were submitted",))), exits.JOB_FAILED),
        (result(ended_by=INTERRUPTED), exits.INTERRUPTED),
        (result(soak(lost=None, doubled=None), INTERRUPTED), exits.INTERRUPTED),
        (result(soak(lost=None, doubled=None), "the cluster went away"), exits.UNAVAILABLE),
    ],
)
def test_the_exit_code_says_what_was_found(
    found: Result, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Found:
        def __init__(self, *_: Any) -> None: ...

        async def run(self, _: object) -> Result:
            return found

    monkeypatch.setattr(runs, "LoadTest", Found)
    file = tmp_path / "result.json"
    done = CliRunner().invoke(root, ["loadtest", "--local", "--jobs", "noop", "--output", str(file)])
    assert done.exit_code == code, done.output
    assert read(file.read_bytes(), "result") == found


@pytest.fixture
def hang_up() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


async def asked_by(number: signal.Signals) -> bool:
    """Whether that signal cancels."""

    async def work() -> None:
        cancel_when_asked()
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.2)

    task = asyncio.create_task(work())
    await asyncio.wait({task})
    return task.cancelled()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_cancels_and_the_next_one_ends_the_process(
    number: signal.Signals, hang_up: None
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it
    assert await asked_by(number)
    assert signal.getsignal(signal.SIGTERM) is signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


async def test_under_nohup_a_terminal_may_close(hang_up: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert not await asked_by(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert await asked_by(signal.SIGTERM)
