"""After a cut, what was not answered goes out again in the order in which it went out first."""

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.peer.outbox import Outbox
from mvm_ci.wire import messages as m
from tests.unit.peer.test_outbox import connection, taken


async def test_appends_of_several_writes_keep_their_order_when_they_are_sent_again() -> None:
    outbox = Outbox(lambda _: None)
    outbox.attach(connection(), [])
    answers = []
    for job in (1, 2, 3):
        answers.append(outbox.append(Placed(JobId(job), 1), Segment(job, 1, bytes([job]))))
        assert len(taken(outbox)) == 1
    outbox.attach(connection(), [])
    (message,) = taken(outbox)
    assert isinstance(message, m.Append)
    assert [item.segment.first for item in message.items] == [1, 2, 3]
    outbox.answered([Append.DONE, Append.STALE, Append.GAP])
    assert [await answer for answer in answers] == [Append.DONE, Append.STALE, Append.GAP]
