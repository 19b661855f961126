"""What the pool tells is gathered for one turn of the loop."""

import asyncio
from collections.abc import Sequence

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed
from mvm_ci.engine.reports import Reports
from mvm_ci.ports.engine import Ended

ONE, TWO = Placed(JobId(1), 1), Placed(JobId(2), 1)


class Listener:
    """Notes what it is told; ``fails``: and raises then."""

    def __init__(self, *, fails: bool = False) -> None:
        self.told: list[object] = []
        self.fails = fails

    def started(self, placements: Sequence[Placed]) -> None:
        self.note(list(placements))

    def ended(self, ended: Sequence[Ended]) -> None:
        self.note([one.placed for one in ended])

    def slots_freed(self) -> None:
        self.note("slots")

    def note(self, what: object) -> None:
        self.told.append(what)
        if self.fails:
            raise RuntimeError("a listener's bug")


def say(reports: Reports) -> None:
    for placed in (ONE, TWO):
        reports.freed()
        reports.ended(Ended(placed=placed, outcome=Completed(b"1")))
        reports.started(placed)


async def test_each_kind_is_told_once_for_all_of_a_turn_starts_first() -> None:
    listener = Listener()
    reports = Reports(listener)
    say(reports)
    assert listener.told == []
    await asyncio.sleep(0)
    assert listener.told == [[ONE, TWO], [ONE, TWO], "slots"]
    reports.freed()
    await asyncio.sleep(0)
    assert listener.told[3:] == ["slots"]


async def test_a_listener_that_fails_is_told_the_rest_all_the_same() -> None:
    listener = Listener(fails=True)
    say(Reports(listener))
    await asyncio.sleep(0)
    assert len(listener.told) == 3


async def test_nothing_is_told_after_the_close() -> None:
    listener = Listener()
    reports = Reports(listener)
    say(reports)
    reports.close()
    await asyncio.sleep(0)
    assert listener.told == []


async def test_starts_can_be_told_before_what_follows_from_them_leaves() -> None:
    listener = Listener()
    reports = Reports(listener)
    say(reports)
    reports.tell_starts()
    assert listener.told == [[ONE, TWO]]
    reports.tell_starts()
    await asyncio.sleep(0)
    assert listener.told == [[ONE, TWO], [ONE, TWO], "slots"]
