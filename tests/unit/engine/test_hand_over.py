"""What a runner is handed at once: frames of a size that it reads."""

from mvm_ci.domain.segment import Segment
from mvm_ci.engine.crew import PART_BYTES, _in_parts
from mvm_ci.engine.live import Live
from mvm_ci.engine.messages import MAX_FRAME
from mvm_ci.journal.steps import JournalLimits
from tests.unit.engine.lives import live


def with_journal(number: int, size: int) -> Live:
    made = live(number)
    made.payload = b""
    made.durable = [Segment(0, 1, bytes(size))]
    return made


def test_small_ones_are_handed_over_together() -> None:
    batch = [with_journal(number, 100) for number in range(64)]
    assert list(_in_parts(batch)) == [batch]


def test_those_with_large_journals_are_one_frame_each() -> None:
    batch = [with_journal(number, PART_BYTES) for number in range(3)]
    assert list(_in_parts(batch)) == [[one] for one in batch]
    assert list(_in_parts([])) == []


def test_no_frame_is_too_large() -> None:
    most = JournalLimits().bytes
    batch = [
        with_journal(number, size)
        for number, size in enumerate([PART_BYTES - 1, most, 5, PART_BYTES - 6, most])
    ]
    parts = list(_in_parts(batch))
    assert [one for part in parts for one in part] == batch
    assert (
        max(sum(len(one.durable[0].data) for one in part) for part in parts) < PART_BYTES + most < MAX_FRAME
    )
