"""Waits for mail as entries: of many topics an entry names some, and all by their digest."""

import pytest

from mvm_ci.domain.errors import NondeterminismDetected
from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.mail import Mail, of_child, shown_topic
from mvm_ci.journal.describe import describe
from mvm_ci.journal.entries import Awaited, Took
from mvm_ci.journal.steps import MailWait
from tests.unit.journal.machines import T0, S, fresh, recorded, resumed

MANY = tuple(of_child(JobId(number)) for number in range(1_000))
CHILD = Mail(7, MANY[3], b"1")


def test_many_topics_take_little_room_and_agree_at_replay() -> None:
    machine = fresh()
    wait = machine.await_mail(MANY, None, T0)
    assert isinstance(wait, MailWait)
    machine.took(wait, CHILD)
    entries = recorded(machine)
    awaited = entries[0]
    assert isinstance(awaited, Awaited)
    *some, noted = awaited.topics
    assert tuple(some) == MANY[:7]
    assert noted.startswith("1000 in all: ")
    assert resumed(*entries).await_mail(MANY, None, T0) == Took(CHILD)
    with pytest.raises(NondeterminismDetected, match="a wait for mail about"):
        resumed(*entries).await_mail((*MANY[:-1], "message:x"), None, T0)


def test_few_topics_are_named() -> None:
    machine = fresh()
    machine.await_mail(MANY[:2], 5 * S, T0)
    (awaited,) = recorded(machine)
    assert isinstance(awaited, Awaited)
    assert awaited.topics == MANY[:2]
    names = ", ".join(f"child:{format_job_id(number)}" for number in range(2))
    assert describe(awaited) == f"a wait for 5 s for mail about {names!r}"
    assert f"'child:{format_job_id(3)}'" in describe(Took(CHILD))


@pytest.mark.parametrize("topic", ["child:", "child:x", "child:²", "child:" + "9" * 40, "message:5", "5"])
def test_a_topic_that_is_none_of_ours_is_shown_as_it_is(topic: str) -> None:
    assert shown_topic(topic) == topic
