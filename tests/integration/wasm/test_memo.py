"""The examples of ``memo``, executed, lost, and replayed."""

import hashlib
import json
from pathlib import Path

import pytest

from guest.build_c import build_c
from mvm_ci.domain.outcome import Completed
from mvm_ci.lifecycle.execute import Result
from mvm_ci.testing.crash_points import Crashed, CrashPoints
from mvm_ci.testing.execution import World, place
from tests.integration.wasm.conftest import GUESTS, Load, built
from tests.integration.wasm.fakes import FakeHost, OnlyGuest

PI = json.dumps({"points": 1_000, "rounds": 2, "pause": 1}).encode()


@pytest.fixture(scope="module")
def pi(load: Load, tmp_path_factory: pytest.TempPathFactory) -> OnlyGuest:
    return load(built(GUESTS / "examples" / "memo" / "job.py", tmp_path_factory.mktemp("memo")))


def lost_in_its_sleep(world: World, guest: OnlyGuest, given: bytes = b"") -> None:
    ended = place(world, guest.guest, given=given, crash_points=CrashPoints("wait.after"))
    assert isinstance(ended, Crashed)


def result(ended: Result | Crashed) -> bytes:
    assert isinstance(ended, Result), ended
    assert isinstance(ended.outcome, Completed), ended.outcome
    assert isinstance(ended.outcome.result, bytes)
    return ended.outcome.result


def test_python_computes_once(pi: OnlyGuest) -> None:
    calm, lost = World(), World()
    undisturbed = result(place(calm, pi.guest, given=PI))
    lost_in_its_sleep(lost, pi, PI)
    assert result(place(lost, pi.guest, given=PI)) == undisturbed, "its randomness goes on where it was"
    assert calm.shown == lost.shown == "sampling 1000 points\n" * 2


def test_c_computes_once(load: Load) -> None:
    guest = load(build_c(GUESTS / "examples" / "memo.c"))
    world = World()
    lost_in_its_sleep(world, guest)
    assert result(place(world, guest.guest)) == b'{"ok":{"value":500000500000}}'
    assert world.shown == "adding\n"


def test_a_replay_does_not_compute(load: Load) -> None:
    guest = load(build_c(GUESTS / "examples" / "memo.c"))
    world, other = World(), World()
    lost_in_its_sleep(world, guest)
    place(other, guest.guest)
    entries = len(world.entries)
    place(world, guest.guest)
    assert len(world.entries) == entries + 2, "a placement and the end"
    assert hashlib.sha256(world.shown.encode()).digest() == hashlib.sha256(other.shown.encode()).digest()


def test_a_value_that_fails_is_not_recorded(everything: OnlyGuest) -> None:
    world = World()
    given = json.dumps({"do": "memos", "argument": None}).encode()
    assert json.loads(result(place(world, everything.guest, given=given))) == {
        "first": "ValueError",
        "second": [1, [2, 3]],
        "again": [1, [2, 3]],
        "unknown": "bad-call",
    }


def test_a_call_that_is_too_large_is_answered_so(load: Load, tmp_path: Path) -> None:
    source = tmp_path / "large.c"
    source.write_text(
        '#include "mvm_ci.h"\nstatic char text[17 << 20], to[200];\n'
        "MVM_CI_RUN { for (int i = 0; i < sizeof text - 1; i++) text[i] = ' ';\n"
        'mvm_ci_output(to, mvm_ci_call("memo.get", text, to, sizeof to)); return 0; }\n'
    )
    from tests.integration.wasm.test_core_guest import LIMITS

    said = load(build_c(source)).run(b"", FakeHost(), LIMITS)
    assert json.loads(said)["error"]["kind"] == "too-large"
