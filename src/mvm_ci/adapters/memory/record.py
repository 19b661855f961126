"""One job in memory, and what can happen to it."""

from typing import Any

from msgspec.structs import replace

from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.job import FINAL, ClaimedJob, Event, Job, JobState, NewJob, sources, transition
from mvm_ci.domain.outcome import Completed, Failed, Outcome, Parked, Released, Stopped, Suspended
from mvm_ci.ports.job_queue import Report, Segment

_EVENTS: dict[type[Outcome], Event] = {
    Completed: Event.COMPLETE,
    Failed: Event.FAIL,
    Suspended: Event.SUSPEND,
    Parked: Event.PARK,
    Released: Event.RELEASE,
    Stopped: Event.STOPPED,
}


class Record:
    """A job with its journals. ``ended_by``: the report that ended the placement of the present epoch."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.ended_by: Report | None = None
        self._journals: dict[int, list[tuple[int, Segment]]] = {}

    @classmethod
    def of(cls, new: NewJob) -> "Record":
        """The record of a job that enters the queue."""
        job = Job(id=new.id, spec=new.spec, state=JobState.PENDING, created_ms=new.created_ms)
        record = cls(job)
        if new.session is not None:
            record.claim(new.session)
        return record

    def move(self, event: Event, *, now_ms: int | None = None, **changes: Any) -> None:
        """Makes a transition with what always goes with it; ``now_ms``: where the job may end."""
        after = transition(self.job.state, event)
        if after in FINAL:
            changes["finished_ms"] = now_ms
        if after not in {JobState.CLAIMED, JobState.IN_PROGRESS, JobState.CANCELLING}:
            changes["session"] = None
        changes.setdefault("wake_ms", None)
        self.job = replace(self.job, state=after, **changes)

    def claim(self, session: SessionId) -> ClaimedJob:
        """Places the job on a session, under its next epoch."""
        self.ended_by = None
        self.move(Event.CLAIM, session=session, epoch=self.job.epoch + 1)
        job = self.job
        return ClaimedJob(
            id=job.id, epoch=job.epoch, attempt=job.attempt, spec=job.spec, journal_length=job.journal_length
        )

    def lose(self, now_ms: int, max_losses: int) -> None:
        """The job's session ended."""
        losses = self.job.losses + (self.job.state is JobState.IN_PROGRESS)
        buried = self.job.state is JobState.IN_PROGRESS and losses > max_losses
        self.move(Event.BURY if buried else Event.LOSE, now_ms=now_ms, losses=losses)

    def end(self, report: Report, now_ms: int) -> bool:
        """Ends the placement of the present epoch; False, and nothing changed, if that is not possible."""
        event = _EVENTS[type(report.outcome)]
        if event is Event.FAIL and report.retry_ms is not None:
            event = Event.RETRY
        if self.job.state not in sources(event):
            return False
        if report.tail is not None:
            if not self.fits(report.tail):
                return False
            self.write(report.tail)
        after = transition(self.job.state, event)
        self.move(event, now_ms=now_ms, **self._changes(after, report))
        if after is JobState.SUSPENDED and self.job.wake_ms is not None and self.job.wake_ms <= now_ms:
            self.move(Event.WAKE)
        self.ended_by = report
        return True

    def _changes(self, after: JobState, report: Report) -> dict[str, Any]:
        """What the report changes if it leads to ``after``; a cancelled job stays as it was."""
        match after, report.outcome:
            case JobState.COMPLETED, Completed(result):
                return {"result": result}
            case JobState.SUSPENDED, Suspended(wake_ms):
                return {"wake_ms": wake_ms}
            case (JobState.FAILED, Failed(failure)) | (JobState.PAUSED, Parked(failure)):
                return {"failure": failure}
            case JobState.SCHEDULED, Failed(failure):
                return {
                    "failure": failure,
                    "wake_ms": report.retry_ms,
                    "attempt": self.job.attempt + 1,
                    "journal_length": 0,
                    "started_ms": None,
                }
            case _:
                return {}

    def fits(self, segment: Segment) -> bool:
        """Whether the segment can be written: it has entries and begins at the journal's end."""
        return segment.count > 0 and segment.first == self.job.journal_length

    def holds(self, segment: Segment) -> bool:
        """Whether the placement of the present epoch has already written exactly this segment."""
        return (self.job.epoch, segment) in self._journals.get(self.job.attempt, [])

    def write(self, segment: Segment) -> None:
        """Adds a segment that fits."""
        self._journals.setdefault(self.job.attempt, []).append((self.job.epoch, segment))
        self.job = replace(self.job, journal_length=self.job.journal_length + segment.count)

    def journal(self, attempt: int) -> list[Segment]:
        """The segments of one attempt, in order."""
        return [segment for _, segment in self._journals.get(attempt, [])]

    def journal_data(self) -> list[bytes]:
        """What the journals of all attempts hold."""
        return [segment.data for journal in self._journals.values() for _, segment in journal]
