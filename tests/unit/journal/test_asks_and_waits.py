"""The rules of replay for asking the control plane, for waits for mail, and for going on as new."""

import pytest

from mvm_ci.domain.errors import CorruptJournal, NondeterminismDetected
from mvm_ci.domain.mail import Mail
from mvm_ci.journal.codec import MAX_SEGMENT
from mvm_ci.journal.entries import Awaited, Called, ClockRead, Continued, Finished, Took
from mvm_ci.journal.replay import Replay
from mvm_ci.journal.steps import Ask, JournalLimits, LimitReached, MailWait
from tests.unit.journal.machines import GET, T0, S, fresh, recorded, resumed

GO = ("message:go",)
LETTER = Mail(7, "message:go", b"1")
MANY = tuple(f"child:{number}" for number in range(1_000))


def asked(machine: Replay, name: str = "child.start", argument: bytes = b"{}") -> Ask:
    step = machine.ask(name, argument)
    assert isinstance(step, Ask)
    return step


# ---------------------------------------------------------------- asks


def test_each_ask_has_a_key_of_its_own_and_the_same_at_every_replay() -> None:
    machine = fresh()
    first = asked(machine)
    machine.answered(first, b"one")
    second = asked(machine)
    assert first.key.endswith("-2-0")
    assert second.key.endswith("-2-1")
    again = resumed(*recorded(machine))
    assert again.ask("child.start", b"{}") == b"one"
    assert asked(again) == second


def test_asks_and_requests_share_no_key() -> None:
    machine = fresh()
    keys = [asked(machine).key, getattr(machine.http(GET, T0), "key", None), asked(machine).key]
    assert len(set(keys)) == 3


@pytest.mark.parametrize(("name", "argument"), [("child.cancel", b"{}"), ("child.start", b"{ }")])
def test_another_question_than_the_recorded_one_disagrees(name: str, argument: bytes) -> None:
    machine = fresh()
    machine.answered(asked(machine), b"one")
    with pytest.raises(NondeterminismDetected, match=r"entry 2 .* child\.start with 2 bytes"):
        resumed(*recorded(machine)).ask(name, argument)


def test_what_was_asked_is_not_in_the_journal() -> None:
    machine = fresh()
    machine.answered(asked(machine, argument=b'{"body": "a secret"}'), b'{"ok": null}')
    (entry,) = recorded(machine)
    assert isinstance(entry, Called)
    assert entry.summary == "child.start with 20 bytes"


# ---------------------------------------------------------------- waits


def test_a_wait_is_recorded_when_it_begins_and_when_it_ends() -> None:
    machine = fresh()
    wait = machine.await_mail(GO, 3 * S, T0 + S)
    assert wait == MailWait(4 * S, T0 + 4 * S)
    machine.took(wait, LETTER)
    assert recorded(machine) == [Awaited(GO, 4 * S, 3 * S), Took(LETTER)]


def test_a_wait_without_a_time_out_has_no_end() -> None:
    wait = fresh().await_mail(GO, None, T0 + S)
    assert isinstance(wait, MailWait)
    assert wait.wake_wall_ns is None


def test_a_wait_that_began_goes_on_until_the_time_it_had() -> None:
    machine = resumed(Awaited(GO, 4 * S, 3 * S))
    assert machine.await_mail(GO, 3 * S, T0 + 100 * S) == MailWait(4 * S, T0 + 4 * S)


@pytest.mark.parametrize("mail", [LETTER, None])
def test_a_wait_that_ended_is_answered_as_it_was(mail: Mail | None) -> None:
    machine = resumed(Awaited(GO, 4 * S, 3 * S), Took(mail))
    assert machine.await_mail(GO, 3 * S, T0) == Took(mail)
    # After a time-out its clock is past it, whatever this machine's clock says.
    assert machine.clock(wall=False, now_ns=T0) == (0 if mail else 4 * S)


@pytest.mark.parametrize(
    ("topics", "duration_ns"), [(("message:other",), 3 * S), (GO, 2 * S), (GO, None), ((*GO, *GO), 3 * S)]
)
def test_another_wait_than_the_recorded_one_disagrees(
    topics: tuple[str, ...], duration_ns: int | None
) -> None:
    with pytest.raises(
        NondeterminismDetected, match=r"entry 2 .* a wait for 3 s for mail about 'message:go'"
    ):
        resumed(Awaited(GO, 4 * S, 3 * S)).await_mail(topics, duration_ns, T0)


def test_after_a_wait_its_end_must_be_recorded() -> None:
    with pytest.raises(NondeterminismDetected, match="entry 3"):
        resumed(Awaited(GO, 0, None), ClockRead(wall=False, value_ns=1)).await_mail(GO, None, T0)


def test_of_many_topics_a_journal_names_a_few_and_tells_all_apart() -> None:
    machine = fresh()
    machine.await_mail(MANY, None, T0)
    (entry,) = recorded(machine)
    assert isinstance(entry, Awaited)
    assert entry.topics[:7] == MANY[:7]
    assert len(str(entry)) < 400
    resumed(entry).await_mail(MANY, None, T0)
    for other in (MANY[:-1], (*MANY[:-1], "child:1001"), MANY[::-1]):
        with pytest.raises(NondeterminismDetected, match="entry 2"):
            resumed(entry).await_mail(other, None, T0)


def test_a_thousand_waits_for_a_thousand_children_fit_one_segment() -> None:
    machine = fresh()
    for number in range(1_000):
        wait = machine.await_mail(MANY[number:], None, T0)
        assert isinstance(wait, MailWait)
        machine.took(wait, Mail(number, MANY[number]))
    assert machine.unposted < 2 * MAX_SEGMENT


def test_mail_that_came_is_recorded_even_in_a_journal_that_is_full() -> None:
    machine = fresh(JournalLimits(entries=3))
    wait = machine.await_mail(GO, None, T0)
    assert isinstance(wait, MailWait)
    machine.took(wait, LETTER)
    with pytest.raises(LimitReached):
        machine.await_mail(GO, None, T0)
    with pytest.raises(LimitReached):
        machine.ask("child.start", b"{}")


def test_segments_name_the_mail_that_their_entries_take() -> None:
    machine = fresh()
    for mail in (LETTER, None, Mail(9, "message:go")):
        wait = machine.await_mail(GO, None, T0)
        assert isinstance(wait, MailWait)
        machine.took(wait, mail)
    (segment,) = machine.take()
    assert segment.taken == (7, 9)
    assert machine.take() == []


# ---------------------------------------------------------------- going on as new


def test_going_on_is_an_end_and_replays_as_one() -> None:
    machine = fresh()
    machine.continue_as_new(b"next")
    assert recorded(machine) == [Continued(b"next")]
    resumed(Continued(b"next")).continue_as_new(b"next")
    with pytest.raises(NondeterminismDetected, match="entry 2"):
        resumed(Continued(b"next")).continue_as_new(b"other")
    with pytest.raises(NondeterminismDetected, match="entry 2"):
        resumed(Finished(b"done", None)).continue_as_new(b"next")
    with pytest.raises(CorruptJournal, match="is an end, but more entries follow"):
        resumed(Continued(b"next"), ClockRead(wall=False, value_ns=1))
