"""Memos: whatever of a journal survives, the execution goes on as the undisturbed one would have."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mvm_ci.journal.codec import decode
from mvm_ci.journal.entries import Entry
from mvm_ci.journal.replay import Replay
from mvm_ci.journal.steps import JournalLimits
from tests.unit.journal.machines import SECOND, T0, WHO, S, fresh

Op = tuple[Any, ...]
leaf = st.one_of(
    st.tuples(st.just("random"), st.integers(1, 100)),
    st.tuples(st.just("log"), st.integers(0, 9)),
    st.tuples(st.just("clock")),
    st.tuples(st.just("sleep"), st.integers(0, 5)),
)
# Few names, so that they come again, inside each other, too. The last part: whether it fails.
ops = st.recursive(
    st.lists(leaf, max_size=4),
    lambda inner: st.lists(
        st.one_of(leaf, st.tuples(st.just("memo"), st.sampled_from("ab"), inner, st.booleans())), max_size=4
    ),
    max_leaves=12,
)


@dataclass
class Guest:
    """Does ``ops``, each asking for what follows from all answers before. ``computed``: names, as they were
    computed; ``trace``: what it knew outside of memos.
    """

    machine: Replay
    now_ns: int
    trace: list[str] = field(default_factory=list)
    computed: list[str] = field(default_factory=list)

    def do(self, ops: Sequence[Op], state: str) -> str:
        for kind, *arguments in ops:
            answer = getattr(self, kind)(state, *arguments)
            state = sha256(f"{state}{kind}{answer}".encode()).hexdigest()
        return state

    def random(self, state: str, size: int) -> str:
        return self.machine.random(size).hex()

    def log(self, state: str, number: int) -> None:
        self.machine.log("stdout", f"{number} {state[:8]}", self.now_ns)

    def clock(self, state: str) -> int:
        return self.machine.clock(wall=False, now_ns=self.now_ns)

    def sleep(self, state: str, seconds: int) -> None:
        self.machine.sleep_for(seconds * S, self.now_ns)

    def memo(self, state: str, name: str, inner: Sequence[Op], fails: object) -> str | None:
        found = self.machine.memo_get(name)
        if found is not None:
            assert isinstance(found, bytes)
            return found.decode()
        self.computed.append(name)
        value = self.do(inner, state)
        self.machine.memo_put(name, None if fails else value.encode())
        return "failed" if fails else value


def whole(machine: Replay) -> list[Entry]:
    return decode(machine.take())


@settings(max_examples=500)
@given(ops=ops, kept=st.floats(0, 1), later=st.integers(0, 100))
def test_what_survives_is_gone_on_from(ops: list[Op], kept: float, later: int) -> None:
    calm = Guest(fresh(), T0)
    end = calm.do(ops, "begin")
    recorded = whole(calm.machine)
    # The first two, the begin and the placement, always came through together.
    survived = recorded[: 2 + round(kept * (len(recorded) - 2))]
    machine = Replay.resume(WHO, SECOND, JournalLimits(), recorded=survived, recorded_bytes=0)
    again = Guest(machine, T0)
    assert again.do(ops, "begin") == end
    assert not machine.replaying
    assert machine.random(8) == calm.machine.random(8), "its randomness is where it would be"
    assert len(again.computed) <= len(calm.computed)


@settings(max_examples=200)
@given(ops=ops)
def test_what_was_computed_is_not_computed_again(ops: list[Op]) -> None:
    assume(plain(ops))
    calm = Guest(fresh(), T0)
    calm.do(ops, "begin")
    recorded = whole(calm.machine)
    machine = Replay.resume(WHO, SECOND, JournalLimits(), recorded=recorded, recorded_bytes=0)
    again = Guest(machine, T0)
    again.do(ops, "begin")
    assert again.computed == []
    assert [segment for segment in machine.take() if segment.count] == []


def plain(ops: Sequence[Op], inside: frozenset[str] = frozenset()) -> bool:
    """Whether every value is computed well, and none while the same name is being computed."""
    memos = [rest for kind, *rest in ops if kind == "memo"]
    return all(
        not fails and name not in inside and plain(inner, inside | {name}) for name, inner, fails in memos
    )
