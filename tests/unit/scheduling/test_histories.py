"""What must hold of any history of turns: limits are kept, and nothing waits without a reason."""

from collections import Counter
from collections.abc import Collection
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.lane import Concurrency, Lane, lane
from mvm_ci.domain.scheduling.scheduler import Scheduler
from tests.unit.scheduling.test_scheduler import ANY, placed, scheduler

lanes = st.builds(
    lane,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["q", "r"]),
    st.integers(0, 2),
    st.sampled_from([(), (("gpu", ""),)]),
    st.sampled_from(["", "x", "y"]),
    st.none()
    | st.builds(
        Concurrency,
        key=st.sampled_from(["k", "l"]),
        limit=st.integers(1, 3),
        starts=st.none() | st.integers(1, 2),
        per_ms=st.just(10),
    ),
)
quotas = st.dictionaries(st.sampled_from(["a", "b"]), st.integers(1, 3))
QUEUES = [(namespace, queue) for namespace in ("a", "b") for queue in ("q", "r")]


def pause_or_resume(made: Scheduler, chance: Random, often: float) -> None:
    """Pauses queues, so often, and lets them go on, as often."""
    for queue in QUEUES:
        if made.paused(queue) and chance.random() < often:
            made.resume(queue)
        elif chance.random() < often:
            made.pause(queue)


def check_limits(last: Lane, running: Collection[Lane], quotas: dict[str, int]) -> None:
    at_workers = Counter(one.namespace for one in running)
    assert all(at_workers[namespace] <= quota for namespace, quota in quotas.items())
    # Lanes of one key may name other limits: none of them is passed by its own jobs' start.
    key = last.concurrency
    if key is not None:
        same = [one.concurrency for one in running if one.namespace == last.namespace]
        assert sum(one is not None and one.key == key.key for one in same) <= (key.limit or 0)


@given(
    st.lists(st.tuples(lanes, st.integers(1, 4)), max_size=12, unique_by=lambda pair: pair[0].id),
    quotas,
    st.integers(0, 1 << 32),
)
def test_every_job_gets_its_turn_and_no_limit_is_passed(
    work: list[tuple[Lane, int]], quotas: dict[str, int], seed: int
) -> None:
    chance = Random(seed)
    waiting = {
        one.id: [JobId(100 * number + at) for at in range(count)] for number, (one, count) in enumerate(work)
    }
    by_id = {one.id: one for one, _ in work}
    made = scheduler(*by_id.values(), offers=(ANY, {"gpu": ""}))
    made.set_running_limits(quotas)
    made.counted(made.limits.uncounted(), [])
    running: dict[JobId, Lane] = {}
    now = 0
    for step in range(1_000):
        # At first queues are paused and go on and workers differ; then every worker can do everything.
        wild = step < 100
        if wild:
            pause_or_resume(made, chance, 0.05)
        labels = ANY if wild and chance.random() < 0.5 else {"gpu": ""}
        turn = made.turn(labels, chance.randint(1, 5), now)
        if turn is None:
            if running and (not wild or chance.random() < 0.5):
                done = chance.choice(sorted(running))
                del running[done]
                made.ended([done])
            elif (next_ms := made.next_ms()) is not None:
                now = next_ms
            elif not wild:
                # What is left waits for its queue only.
                stuck = [by_id[lane_id] for lane_id, jobs in waiting.items() if jobs]
                assert all(made.paused((one.namespace, one.queue)) for one in stuck)
                if not any(made.resume(queue) for queue in QUEUES):
                    break
            continue
        assert not made.paused((turn.lane.namespace, turn.lane.queue))
        jobs = [waiting[turn.lane_id].pop(0) for _ in range(min(turn.limit, len(waiting[turn.lane_id])))]
        made.settle(turn, placed(*jobs))
        running.update(dict.fromkeys(jobs, turn.lane))
        # As the dispatcher tells it: where a claim brought less than it asked for.
        if len(jobs) < turn.limit:
            made.emptied(turn.lane_id)
        if jobs:
            check_limits(turn.lane, running.values(), quotas)
    assert not any(waiting.values())
    assert not made
