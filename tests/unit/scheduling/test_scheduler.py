"""Turns: priority, fairness, labels, limits, pauses."""

from collections import Counter

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.lane import Concurrency, Lane, begun, lane
from mvm_ci.domain.scheduling.scheduler import RECENT_MS, Scheduler

ANY: dict[str, str] = {}


def scheduler(*lanes: Lane, offers: tuple[dict[str, str], ...] = (ANY,)) -> Scheduler:
    made = Scheduler()
    made.offers(offers)
    for one in lanes:
        made.ready(one, one.id)
    return made


def placed(*jobs: int, epoch: int = 1) -> list[Placed]:
    return [Placed(JobId(job), epoch) for job in jobs]


def take(
    made: Scheduler, *jobs: int, credit: int = 1, now: int = 0, labels: dict[str, str] = ANY
) -> int | None:
    """Whose turn it is; its claim brings ``jobs``."""
    turn = made.turn(labels, credit, now)
    if turn is None:
        return None
    made.settle(turn, placed(*jobs))
    return turn.lane_id


def test_a_higher_priority_goes_first_as_long_as_it_has_jobs() -> None:
    low, high = lane(priority=1), lane(priority=9)
    made = scheduler(low, high)
    assert [take(made, 1) for _ in range(3)] == [high.id] * 3
    made.emptied(high.id)
    assert take(made, 1) == low.id
    made.emptied(low.id)
    assert take(made) is None
    assert not made


def test_keys_take_turns_and_a_key_that_comes_late_is_not_behind() -> None:
    big, small = lane(fairness_key="big"), lane(fairness_key="small")
    made = scheduler(big)
    assert [take(made, 1) for _ in range(100)] == [big.id] * 100
    made.ready(small, small.id)
    got = Counter(take(made, 1) for _ in range(20))
    assert abs(got[big.id] - got[small.id]) <= 1


def test_a_turn_among_others_is_a_share_of_the_credit() -> None:
    made = scheduler(*(lane(fairness_key=str(number)) for number in range(4)))
    turn = made.turn(ANY, 64, 0)
    assert turn is not None
    assert turn.limit == 16


def test_what_has_begun_goes_before_what_has_not() -> None:
    one = lane()
    made = scheduler(one)
    made.ready(one, begun(one.id))
    assert take(made, 1) == begun(one.id)
    made.emptied(begun(one.id))
    assert take(made, 2) == one.id


def test_a_worker_gets_only_what_its_labels_allow() -> None:
    gpu, anything = lane(priority=9, labels=(("gpu", ""),)), lane(priority=1)
    made = scheduler(gpu, anything, offers=(ANY, {"gpu": "a100"}))
    assert take(made, 1, labels=ANY) == anything.id
    assert take(made, 2, labels={"gpu": "a100"}) == gpu.id


def test_what_no_worker_can_run_holds_nobody_up() -> None:
    gpu = lane(priority=9, labels=(("gpu", ""),))
    made = scheduler(gpu)
    assert not made
    assert made.admit(lane(priority=1), 0)
    made.offers([{"gpu": ""}])
    assert made
    assert not made.admit(lane(priority=1), 0)


def test_a_new_job_is_placed_at_once_only_if_nothing_goes_before_it() -> None:
    made = scheduler(lane(priority=5))
    assert not made.admit(lane(priority=4), 0)
    assert not made.admit(lane(priority=5), 0)
    assert made.admit(lane(priority=6), 0)


def test_a_paused_queue_waits_and_goes_on() -> None:
    slow, other = lane(queue="slow", priority=9), lane()
    made = scheduler(slow, other)
    made.pause(("default", "slow"))
    assert take(made, 1) == other.id
    assert not made.admit(slow, 0)
    made.ready(slow, begun(slow.id))
    assert take(made, 1) == other.id
    assert made.resume(("default", "slow"))
    assert take(made, 2) == begun(slow.id)


def test_at_most_so_many_of_a_key_hold_it_until_their_attempt_ends() -> None:
    keyed = lane(concurrency=Concurrency(key="deploy", limit=2))
    made = scheduler(keyed)
    assert take(made, 1, 2, credit=64) == keyed.id
    assert take(made) is None
    assert not made.admit(keyed, 0)
    # One of them was suspended: it goes on in the slot it holds.
    made.ready(keyed, begun(keyed.id))
    assert take(made, 1) == begun(keyed.id)
    made.emptied(begun(keyed.id))
    assert made.ended([JobId(2)])
    assert take(made, 3, credit=64) == keyed.id
    assert take(made) is None


def test_a_claim_that_brings_less_gives_the_slots_back() -> None:
    keyed = lane(concurrency=Concurrency(key="k", limit=1))
    made = scheduler(keyed)
    turn = made.turn(ANY, 5, 0)
    assert turn is not None
    assert turn.limit == 1
    assert made.turn(ANY, 5, 0) is None
    made.settle(turn, [])
    assert take(made, 7) == keyed.id


def test_the_same_key_in_two_namespaces_is_two_keys() -> None:
    one = lane("one", concurrency=Concurrency(key="k"))
    two = lane("two", concurrency=Concurrency(key="k"))
    made = scheduler(one, two)
    assert {take(made, 1), take(made, 2)} == {one.id, two.id}
    assert take(made) is None


def test_a_rate_lets_so_many_begin_and_says_when_the_next_may() -> None:
    rated = lane(concurrency=Concurrency(key="api", limit=None, starts=2, per_ms=1_000))
    made = Scheduler()
    made.offers([ANY])
    made.ready(rated, rated.id)
    assert take(made, 1, 2, credit=9, now=1_000) == rated.id
    assert take(made, now=1_000) is None
    assert made.next_ms() == 1_500
    assert take(made, now=1_499) is None
    assert take(made, 3, credit=9, now=1_500) == rated.id
    assert take(made, now=1_501) is None


def test_keys_whose_rate_is_not_used_any_more_are_forgotten_and_get_no_second_helping() -> None:
    made = Scheduler()
    keys = [
        lane(concurrency=Concurrency(key=str(number), limit=None, starts=2, per_ms=1_000))
        for number in range(20_000)
    ]

    def starts(rated: Lane, now: int) -> int:
        """How many may start now, and do."""
        count = 0
        while made.admit(rated, now):
            made.admitted(rated, JobId(1))
            made.ended([JobId(1)])
            count += 1
        return count

    for number, rated in enumerate(keys):
        assert starts(rated, 10_000 + number) == 2
        if number >= 500:
            # Half of it is back, whatever was forgotten meanwhile.
            assert starts(keys[number - 500], 10_000 + number) == 1
    assert len(made.limits._buckets) < 4_000


def test_a_namespace_runs_no_more_than_its_quota() -> None:
    mine = lane("mine")
    made = scheduler(mine)
    limit_running(made, {"mine": 2})
    assert take(made, 1, 2, credit=9) == mine.id
    assert take(made) is None
    # A job that sleeps is at no worker; it needs room to go on.
    assert made.unplaced(placed(1))
    made.ready(mine, begun(mine.id))
    assert take(made, 1) == begun(mine.id)
    assert take(made) is None
    made.set_running_limits({})
    assert take(made, 3) is not None


def limit_running(made: Scheduler, limits: dict[str, int], *there: int) -> None:
    """Sets limits, when workers have these jobs of the namespace ``mine``."""
    made.set_running_limits(limits)
    made.counted(made.limits.uncounted(), [(job, "mine") for job in placed(*there)])


def test_a_namespace_that_gets_a_quota_has_no_room_until_its_jobs_at_workers_are_counted() -> None:
    mine = lane("mine")
    made = scheduler(mine, lane("other"))
    made.set_running_limits({"mine": 3})
    assert not made.admit(mine, 0)
    assert take(made, 9) == lane("other").id
    accounts = made.limits.uncounted()
    made.emptied(lane("other").id)
    assert take(made) is None
    # One of those that are counted has left meanwhile.
    made.unplaced(placed(2))
    made.counted(accounts, list(zip(placed(1, 2, 9), ("mine", "mine", "other"), strict=True)))
    assert take(made, 3, 4, credit=9) == mine.id
    assert take(made) is None
    assert made.limits.used(("mine", None)) == 3
    made.set_running_limits({"mine": 4})
    assert take(made, 5, credit=9) == mine.id
    assert take(made) is None


def test_a_claim_under_way_counts_in_the_quota_that_is_set_meanwhile() -> None:
    mine = lane("mine")
    made = scheduler(mine)
    before = made.turn(ANY, 5, 0)
    assert before is not None
    limit_running(made, {"mine": 3}, 1)
    # The count saw one of what the claim brought, and it counts once.
    made.settle(before, placed(1, 2))
    assert made.limits.used(("mine", None)) == 2
    limited = made.turn(ANY, 5, 0)
    assert limited is not None
    assert limited.limit == 1
    # The quota goes and comes back: the slot that was reserved is not given back twice.
    made.set_running_limits({})
    limit_running(made, {"mine": 3}, 1, 2)
    made.settle(limited, placed(3))
    assert made.limits.used(("mine", None)) == 3
    made.ended(map(JobId, (1, 2, 3)))
    assert made.limits.used(("mine", None)) == 0


def test_a_count_does_not_serve_a_namespace_that_was_limited_after_it_began() -> None:
    mine = lane("mine")
    made = scheduler(mine)
    made.set_running_limits({"other": 1})
    accounts = made.limits.uncounted()
    made.set_running_limits({"other": 1, "mine": 5})
    made.counted(accounts, [(placed(1)[0], "mine")])
    assert take(made, 2) is None
    made.counted(made.limits.uncounted(), [(placed(1)[0], "mine")])
    assert take(made, 2) == mine.id
    assert made.limits.used(("mine", None)) == 2


def test_slots_of_before_the_start_are_held() -> None:
    keyed = lane(concurrency=Concurrency(key="k"))
    made = scheduler(keyed)
    made.limits.holds(JobId(1), keyed)
    assert take(made) is None
    made.ended([JobId(1)])
    assert take(made, 2) == keyed.id


def test_what_is_told_late_of_an_earlier_placement_frees_nothing() -> None:
    mine = lane("mine")
    made = scheduler(mine)
    limit_running(made, {"mine": 1})
    assert take(made, 1) == mine.id
    made.unplaced(placed(1))
    turn = made.turn(ANY, 1, 0)
    assert turn is not None
    made.settle(turn, placed(1, epoch=2))
    assert not made.unplaced(placed(1, epoch=1))
    assert made.limits.used(("mine", None)) == 1
    made.unplaced(placed(1, epoch=2))
    assert made.limits.used(("mine", None)) == 0


def test_a_count_takes_the_newest_placement_of_a_job_and_none_that_is_over() -> None:
    made = scheduler(lane("mine"))
    made.set_running_limits({"mine": 3})
    accounts = made.limits.uncounted()
    # While it was counted: 1 moved to another worker, 2 moved and left that one, too, 3 ended.
    made.unplaced(placed(1, 2))
    made.unplaced(placed(2, epoch=2))
    made.ended([JobId(3)])
    there = [*placed(1, epoch=2), *placed(2, 3)]
    made.counted(accounts, [(one, "mine") for one in there])
    assert made.limits.used(("mine", None)) == 1


def full_of(mine: int, *lanes: Lane) -> Scheduler:
    """A scheduler in whose namespace ``mine`` jobs run, as many as may."""
    made = scheduler(*lanes)
    limit_running(made, {"mine": mine}, *range(1, mine + 1))
    assert take(made, credit=9) is None
    return made


def test_a_free_slot_goes_to_the_highest_priority_however_long_others_wait() -> None:
    low, high = lane("mine", priority=1), lane("mine", priority=9)
    made = full_of(1, low, high)
    assert made.ended([JobId(1)])
    assert take(made, 2) == high.id


def test_a_free_slot_is_not_kept_for_what_no_worker_can_run() -> None:
    gpu, plain = lane("mine", labels=(("gpu", ""),), priority=9), lane("mine")
    made = full_of(1, gpu, plain)
    limit_running(made, {"mine": 0}, 1)
    assert take(made, credit=9, labels={"gpu": ""}) is None
    limit_running(made, {"mine": 1})
    assert take(made, credit=9, labels={"gpu": ""}) is None
    made.ended([JobId(1)])
    assert take(made, 2) == plain.id


def test_a_lane_that_does_not_use_its_slot_lets_in_the_next_one() -> None:
    paused, keyed = lane("mine", "slow"), lane("mine", concurrency=Concurrency(key="k"))
    empty, plain = lane("mine", fairness_key="x"), lane("mine", fairness_key="y")
    made = full_of(3, paused, keyed, empty, plain)
    made.limits.holds(JobId(9), keyed)
    made.pause(("mine", "slow"))
    made.ended([JobId(1)])
    # One is paused, one's key is full, one is empty: whoever comes first of them does not hold up the last.
    got = [take(made) for _ in range(2)]
    assert got[0] in {empty.id, plain.id}
    made.emptied(empty.id)
    assert take(made, 4) == plain.id
    made.emptied(plain.id)
    made.ended([JobId(9), JobId(2)])
    assert take(made, 5) == keyed.id
    made.ended([JobId(3)])
    made.resume(("mine", "slow"))
    made.emptied(keyed.id)
    assert take(made, 6) == paused.id


def test_a_lane_that_is_paused_while_its_namespace_is_full_does_not_keep_its_key_s_slot() -> None:
    key = Concurrency(key="k")
    paused, other, plain = (
        lane("mine", "slow", concurrency=key),
        lane("mine", concurrency=key),
        lane("mine", "plain"),
    )
    made = scheduler(paused, other)
    limit_running(made, {"mine": 2}, 1)
    assert take(made, 2) in {paused.id, other.id}
    made.unplaced(placed(2))
    # The key is full, the namespace is not: both wait for the key.
    assert take(made) is None
    made.ready(plain, plain.id)
    assert take(made, 3) == plain.id
    # The key's job ends; whoever is let in finds the namespace full.
    made.ended([JobId(2)])
    assert take(made) is None
    first = paused if paused.id not in made._full["mine", "k"]._lanes else other
    made.pause((first.namespace, first.queue))
    made.emptied(plain.id)
    made.ended([JobId(1)])
    assert take(made, 4) == (other if first is paused else paused).id


def test_a_lower_priority_gets_free_slots_only_while_higher_ones_come() -> None:
    low, high = lane(priority=1), lane(priority=5)
    made = scheduler(low)
    made.came(high, 1_000)
    assert not made.admit(lane(priority=2), 1_000)
    assert made.turn(ANY, 64, 1_001, free=0) is None
    few = made.turn(ANY, 64, 1_001, free=2)
    assert few is not None
    assert few.limit == 2
    later = made.turn(ANY, 64, 1_000 + RECENT_MS, free=0)
    assert later is not None
    assert later.limit == 64
