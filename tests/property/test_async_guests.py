"""Random programs with ``asyncio``, in a real guest, crashed and suspended anywhere: what happened once
happens again, in the same order.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mvm_ci.domain.outcome import Completed, Suspended
from mvm_ci.lifecycle.execute import ExecutionLimits
from mvm_ci.ports.guest import Guest
from mvm_ci.testing.crash_points import POINTS, Crashed, CrashPoints
from mvm_ci.testing.execution import place
from tests.integration.wasm.conftest import GUESTS, Load, built
from tests.integration.wasm.outside import Outside, S

Node = list[Any]

seconds = st.integers(0, 12)
leaf = st.one_of(
    st.builds(lambda s: ["sleep", s], seconds),
    st.builds(lambda n: ["yields", n], st.integers(0, 3)),
    st.builds(lambda s: ["child", s], seconds),
    st.builds(lambda each: ["children", each], st.lists(seconds, max_size=3)),
    st.builds(lambda s: ["promise", s], seconds),
    st.builds(lambda kind: ["message", kind], st.sampled_from("ab")),
    st.builds(lambda kind, count: ["messages", kind, count], st.sampled_from("ab"), st.integers(1, 2)),
    st.builds(lambda s: ["blocks", s], seconds),
    st.builds(lambda s: ["sync", s], seconds),
    st.builds(lambda n: ["get", n], st.integers(0, 5)),
    st.just(["chance"]),
    st.just(["fails"]),
)


def containers(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=1, max_size=4)
    kinds = st.sampled_from(["one_by_one", "together", "group", "race", "queue"])
    return st.one_of(
        st.builds(lambda kind, nodes: [kind, nodes], kinds, several),
        st.builds(lambda s, node: ["timeout", s, node], seconds, inner),
        st.builds(lambda kind, node: [kind, node], st.sampled_from(["locked", "attempt"]), inner),
    )


programs = st.recursive(leaf, containers, max_leaves=12)


@dataclass(frozen=True)
class Trouble:
    """A placement dies at a crash point, and the next one comes some time later."""

    point: str
    visit: int
    arrives: int
    down_s: int = 0


def troubles(longest_s: int) -> st.SearchStrategy[list[Trouble]]:
    point, arrives, down = st.sampled_from(sorted(POINTS)), st.integers(0, 3), st.integers(0, longest_s)
    return st.lists(st.builds(Trouble, point, st.integers(1, 6), arrives, down), max_size=4)


def until_it_ends(
    world: Outside, guest: Guest, program: Node, planned: list[Trouble], patience_s: int
) -> Any:
    """What the program returned, and what it printed."""
    limits = ExecutionLimits(suspend_after_ms=patience_s * 1_000)
    given, left = json.dumps(program).encode(), iter(planned)
    for _ in range(300):
        trouble = next(left, None)
        points = CrashPoints(trouble.point, trouble.visit) if trouble else None
        arrives = trouble.arrives if trouble else 0
        ended = place(world, guest, crash_points=points, limits=limits, given=given, arrives=arrives)
        if trouble is not None:
            world.now_ns += trouble.down_s * S
        if isinstance(ended, Crashed) and world.outcome is None:
            continue
        world.wake()
        if not isinstance(world.outcome, Suspended):
            assert isinstance(world.outcome, Completed), world.outcome
            kept = world.outcome.result
            return json.loads(kept if isinstance(kept, bytes) else world.get_blob(kept)), world.shown
    pytest.fail("it does not end")


@pytest.fixture(scope="module")
def guest(load: Load, tmp_path_factory: pytest.TempPathFactory) -> Guest:
    directory: Path = tmp_path_factory.mktemp("async")
    return load(built(GUESTS / "tests" / "async_programs" / "job.py", directory)).guest


messages = st.lists(st.tuples(seconds, st.sampled_from(["a", "b", "other"])), max_size=4)
KITCHEN_SINK: Node = [
    "together",
    [
        ["timeout", 3, ["race", [["child", 2], ["message", "a"], ["sleep", 1]]]],
        ["queue", [["promise", 4], ["children", [2, 6]], ["locked", ["sleep", 7]], ["locked", ["get", 1]]]],
        ["group", [["attempt", ["child", 1]], ["fails"], ["messages", "b", 2]]],
    ],
]
SLOW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SLOW
@given(program=programs, sent=messages, planned=troubles(0), patience_s=st.sampled_from([3, 1_000_000]))
@example(
    program=KITCHEN_SINK,
    sent=[(5, "b"), (9, "other")],
    planned=[Trouble("mail.after", 2, 0), Trouble("ask.after", 1, 0), Trouble("append.before", 3, 1)],
    patience_s=3,
)
def test_a_disturbed_program_is_the_undisturbed_one(
    guest: Guest, program: Node, sent: list[tuple[int, str]], planned: list[Trouble], patience_s: int
) -> None:
    calm, shown = until_it_ends(Outside(sent), guest, program, [], patience_s)
    disturbed, shown_again = until_it_ends(Outside(sent), guest, program, planned, patience_s)
    assert disturbed == calm
    assert shown_again == shown


@SLOW
@given(program=programs, sent=messages, planned=troubles(20))
def test_what_has_happened_happens_again_after_any_time_without_a_worker(
    guest: Guest, program: Node, sent: list[tuple[int, str]], planned: list[Trouble]
) -> None:
    returned, shown = until_it_ends(Outside(sent), guest, program, planned, 3)
    assert shown.splitlines() == returned["happened"]
