"""The rules of replay, one by one, on the machine alone."""

from hashlib import blake2b

import pytest

from mvm_ci.domain.errors import CorruptJournal, NondeterminismDetected
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.journal.chance import RandomStream
from mvm_ci.journal.codec import split
from mvm_ci.journal.describe import describe
from mvm_ci.journal.entries import (
    FORMAT_VERSION,
    Began,
    ClockRead,
    Entry,
    Finished,
    Logged,
    Slept,
)
from mvm_ci.journal.replay import Replay
from mvm_ci.journal.steps import JournalLimits, LimitReached, Perform, Wait, bounded
from tests.unit.journal.machines import (
    BEGAN,
    FIRST,
    GET,
    OK,
    POST,
    SECOND,
    SEED,
    T0,
    WHO,
    S,
    fresh,
    new,
    recorded,
    resumed,
)

# ---------------------------------------------------------------- begin


def test_a_journal_begins_with_what_all_follows_from() -> None:
    machine = fresh()
    assert not machine.replaying
    assert new(machine) == [BEGAN]
    assert (machine.unposted, new(machine)) == (0, [])


def test_a_placement_is_named_before_its_first_entry_only() -> None:
    machine = resumed(ClockRead(wall=False, value_ns=7))
    machine.clock(wall=False, now_ns=T0 + S)
    assert new(machine) == []
    machine.clock(wall=False, now_ns=T0 + S)
    machine.clock(wall=False, now_ns=T0 + S)
    read = ClockRead(wall=False, value_ns=S)
    assert new(machine) == [SECOND, read, read]


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([FIRST], "entry 0 is not a begin but placement 1 on a"),
        ([Began(FORMAT_VERSION + 1, WHO.module, WHO.input, SEED, T0)], "the journal has format 4"),
        ([Began(FORMAT_VERSION, WHO.module, WHO.input, SEED[1:], T0)], "entry 0: a seed of 31 bytes"),
        ([BEGAN, FIRST, BEGAN], "entry 2: a second begin"),
        ([BEGAN, Finished(b"", None), FIRST], "entry 1 is an end, but more"),
    ],
    ids=["placement", "newer", "seed", "twice", "after the end"],
)
def test_what_is_no_journal_is_corrupt(entries: list[Entry], says: str) -> None:
    with pytest.raises(CorruptJournal, match=says):
        Replay.resume(WHO, SECOND, JournalLimits(), recorded=entries, recorded_bytes=0)


@pytest.mark.parametrize("other", [("ff" * 32, WHO.input), (WHO.module, "ff" * 32)], ids=["module", "input"])
def test_the_journal_of_another_module_or_input(other: tuple[str, str]) -> None:
    began = Began(FORMAT_VERSION, Digest(other[0]), Digest(other[1]), SEED, T0)
    with pytest.raises(NondeterminismDetected, match=r"entry 0 .*ffffffffffff.* asked for the beginning of"):
        Replay.resume(WHO, SECOND, JournalLimits(), recorded=[began], recorded_bytes=0)


# ---------------------------------------------------------------- randomness


def test_randomness_is_a_stream_of_the_seed_and_leaves_no_entries() -> None:
    """Pinned: these bytes are part of the format, journals rely on them."""
    block = blake2b(bytes(8), key=SEED).digest() + blake2b(bytes(7) + b"\1", key=SEED).digest()
    machine = fresh()
    assert machine.random(3) + machine.random(0) + machine.random(70) == block[:73]
    assert resumed().random(73) == block[:73]
    assert block[:8].hex() == RandomStream(SEED).read(8).hex() == "9212bc97156556f6"
    assert recorded_after_one_call(machine) == [ClockRead(wall=False, value_ns=0)]


def recorded_after_one_call(machine: Replay) -> list[Entry]:
    machine.clock(wall=False, now_ns=T0)
    return recorded(machine)


# ---------------------------------------------------------------- clocks


def test_both_clocks_are_one_and_never_go_back() -> None:
    machine = fresh()
    times = [(2 * S, False), (S, False), (S, True), (3 * S, True), (3 * S, False)]
    told = [machine.clock(wall=wall, now_ns=T0 + at) for at, wall in times]
    assert told == [2 * S, 2 * S, T0 + 2 * S, T0 + 3 * S, 3 * S]
    calls = recorded(machine)
    assert calls == [ClockRead(wall, value) for (_, wall), value in zip(times, told, strict=True)]
    again = resumed(*calls)
    assert [again.clock(wall=wall, now_ns=0) for _, wall in times] == told
    assert not again.replaying
    assert again.clock(wall=False, now_ns=T0) == 3 * S, "on a machine whose clock is behind"


def test_the_wrong_clock_disagrees() -> None:
    with pytest.raises(NondeterminismDetected) as caught:
        resumed(ClockRead(wall=True, value_ns=T0)).clock(wall=False, now_ns=T0)
    assert (caught.value.index, caught.value.recorded) == (2, "a read of the wall clock")
    assert caught.value.asked == "a read of the monotonic clock"


# ---------------------------------------------------------------- sleep


def test_a_sleep_waits_and_the_clocks_are_past_its_end() -> None:
    machine = fresh()
    assert machine.sleep_for(5 * S, T0 + S) == Wait(T0 + 6 * S)
    assert machine.clock(wall=False, now_ns=T0 + 5 * S) == 6 * S, "even if the wait was a bit short"
    assert machine.sleep_until(6 * S, T0 + 6 * S) is None
    assert machine.sleep_for(0, T0 + 6 * S) is None
    assert recorded(machine) == [
        Slept(6 * S, 5 * S),
        ClockRead(wall=False, value_ns=6 * S),
        Slept(6 * S, None),
        Slept(6 * S, 0),
    ]


def test_a_sleep_that_was_last_waits_for_what_is_left() -> None:
    assert resumed(Slept(6 * S, 5 * S)).sleep_for(5 * S, T0 + 4 * S) == Wait(T0 + 6 * S)
    assert resumed(Slept(6 * S, None), SECOND).sleep_until(6 * S, T0 + 4 * S) == Wait(T0 + 6 * S)
    assert resumed(Slept(6 * S, 5 * S)).sleep_for(5 * S, T0 + 9 * S) is None


def test_a_sleep_with_later_entries_is_over() -> None:
    machine = resumed(Slept(6 * S, 5 * S), SECOND, ClockRead(wall=False, value_ns=7 * S))
    assert machine.sleep_for(5 * S, T0) is None
    assert machine.clock(wall=False, now_ns=T0) == 7 * S


def test_no_clock_makes_a_wait_longer_than_the_sleep() -> None:
    machine = fresh()
    machine.clock(wall=False, now_ns=T0 + 3600 * S)
    assert machine.sleep_for(S, T0) == Wait(T0 + S), "the host's clock went back an hour"


@pytest.mark.parametrize(
    ("entry", "asked"), [(Slept(6 * S, 5 * S), 4 * S), (Slept(6 * S, None), 5 * S)], ids=["duration", "kind"]
)
def test_another_sleep_disagrees(entry: Slept, asked: int) -> None:
    with pytest.raises(NondeterminismDetected, match=f"asked for a sleep of {asked // S} s"):
        resumed(entry).sleep_for(asked, T0)
    with pytest.raises(NondeterminismDetected, match=f"asked for a sleep until {asked // S} s after"):
        resumed(entry).sleep_until(asked, T0)


def test_times_beyond_the_format_are_the_end_of_time() -> None:
    machine = fresh()
    assert machine.sleep_until(-5, T0) is None
    assert machine.sleep_for(1 << 80, T0) is not None
    assert machine.sleep_for(1 << 80, T0) is None
    machine.clock(wall=True, now_ns=T0)
    assert recorded(machine)[0] == Slept(0, None)


# ---------------------------------------------------------------- logs


def test_text_is_recorded_once_and_split() -> None:
    machine = fresh()
    text = "grün" * 10_000
    assert machine.log("stdout", text, T0)
    assert not machine.log("stdout", "", T0)
    calls = recorded(machine)
    assert [len(entry.text) for entry in calls if isinstance(entry, Logged)] == [16_384, 16_384, 7_232]
    assert max(len(segment.data) for segment in split(calls, 0)) < 4 * 40_000
    assert not resumed(*calls).log("stdout", text, T0), "shown before"
    assert resumed(*calls[:2]).log("stdout", text, T0), "the crash came between its entries"


def test_text_that_utf8_cannot_hold() -> None:
    machine = fresh()
    assert machine.log("stdout", "a\ud800b", T0)
    assert recorded(machine) == [Logged("stdout", "a?b", T0 // 1_000_000)]


@pytest.mark.parametrize(("stream", "text"), [("stderr", "a"), ("stdout", "b")])
def test_other_text_disagrees(stream: str, text: str) -> None:
    with pytest.raises(NondeterminismDetected, match="records 'a' written to stdout, but"):
        resumed(Logged("stdout", "a", 0)).log(stream, text, T0)


def test_output_has_a_limit() -> None:
    machine = fresh(JournalLimits(log_bytes=10))
    machine.log("stdout", "ä" * 5, T0)
    with pytest.raises(LimitReached) as caught:
        machine.log("stdout", "b", T0)
    assert caught.value.failure.kind is FailureKind.OUTPUT


# ---------------------------------------------------------------- the end

ERROR = Failure(kind=FailureKind.ERROR, message="no", detail="trace")


def test_an_end_is_recorded_and_replayed() -> None:
    machine = fresh()
    machine.finish(b"result")
    assert recorded(machine) == [Finished(b"result", None)]
    again = resumed(Finished(b"result", None))
    again.finish(b"result")
    assert new(again) == []
    resumed(Finished(None, ERROR)).finish(Failure(kind=FailureKind.ERROR, message="at 0x7f12"))


@pytest.mark.parametrize(
    ("entry", "end"),
    [
        (Finished(b"result", None), b"other!"),
        (Finished(b"result", None), ERROR),
        (Finished(None, ERROR), b"result"),
        (Finished(None, ERROR), Failure(kind=FailureKind.TRAP, message="no")),
        (ClockRead(wall=True, value_ns=0), b"result"),
    ],
    ids=["result", "failure", "no failure", "kind", "too early"],
)
def test_another_end_disagrees(entry: Entry, end: bytes | Failure) -> None:
    with pytest.raises(
        NondeterminismDetected, match=r"^entry 2 .* but the guest asked for the end with"
    ) as caught:
        resumed(entry).finish(end)
    assert caught.value.recorded == describe(entry) != caught.value.asked


def test_what_ends_from_outside_is_recorded_only_live() -> None:
    machine = fresh()
    machine.abandon(ERROR)
    assert recorded(machine) == [Finished(None, ERROR)]
    machine = resumed(ClockRead(wall=True, value_ns=0))
    machine.abandon(ERROR)
    assert new(machine) == []


def test_long_failures_are_cut() -> None:
    cut = bounded(Failure(kind=FailureKind.ERROR, message="m" * 9_999 + "!", detail="d" * 99_999 + "!"))
    assert cut.message == f"{'m' * 250} … {'m' * 249}!"
    assert cut.detail == f"{'d' * 8_000} … {'d' * 7_999}!"


# ---------------------------------------------------------------- limits


def test_entries_have_a_limit_and_a_request_that_left_gets_its_entry() -> None:
    machine = fresh(JournalLimits(entries=3))
    step = machine.http(POST, T0)
    assert isinstance(step, Perform)
    machine.performed(step, OK, began_ns=T0, ended_ns=T0)
    for call in (
        lambda: machine.clock(wall=True, now_ns=T0),
        lambda: machine.sleep_for(1, T0),
        lambda: machine.log("stdout", "x", T0),
        lambda: machine.http(GET, T0),
    ):
        with pytest.raises(LimitReached, match="the journal is full: 4 entries") as caught:
            call()
        assert caught.value.failure.kind is FailureKind.JOURNAL
    machine.finish(b"")
    assert len(recorded(machine)) == 3


def test_bytes_have_a_limit_that_counts_what_is_recorded() -> None:
    recorded: list[Entry] = [BEGAN, FIRST]
    limits = JournalLimits(bytes=1000)
    machine = Replay.resume(WHO, SECOND, limits, recorded=recorded, recorded_bytes=950)
    machine.log("stdout", "x" * 60, T0)
    with pytest.raises(LimitReached):
        machine.log("stdout", "x", T0)


# ---------------------------------------------------------------- words


def test_long_texts_that_differ_late_are_told_apart() -> None:
    one, two = (describe(Logged("stdout", "x" * 100 + end, 0)) for end in "ab")
    assert one != two
    assert len(one) < 150


def test_results_that_differ_are_told_apart() -> None:
    assert describe(Finished(b"a", None)) != describe(Finished(b"b", None))
