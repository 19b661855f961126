"""One job in memory, and what can happen to it."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.job import FINAL, PLACED, ClaimedJob, Event, Job, JobState, NewJob, sources, transition
from mvm_ci.domain.lane import begun
from mvm_ci.domain.options import Dependency
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
    """A job with its journals. ``ended_by``: the report that ended the placement of the present epoch;
    ``begun``: its attempt has been placed.
    """

    def __init__(self, job: Job, after: Sequence[Dependency]) -> None:
        self.job = job
        self.after = sorted(after, key=lambda dependency: dependency.job)
        self.begun = False
        self.ended_by: Report | None = None
        self._journals: dict[int, list[tuple[int, Segment]]] = {}

    @classmethod
    def of(cls, new: NewJob) -> "Record":
        """The record of a job that enters the queue."""
        options = new.options
        state, wake_ms, expires_ms = JobState.PENDING, None, None
        if new.session is None:
            wake_ms, expires_ms = options.run_at_ms, options.expires_ms
            if options.after:
                state = JobState.BLOCKED
            elif wake_ms is not None:
                state = JobState.SCHEDULED
        job = Job(
            id=new.id,
            spec=new.spec,
            state=state,
            created_ms=new.created_ms,
            options=replace(options, run_at_ms=None, expires_ms=None, after=()),
            wake_ms=wake_ms,
            expires_ms=expires_ms,
        )
        record = cls(job, options.after)
        if new.session is not None:
            record.claim(new.session)
        return record

    @property
    def lane_id(self) -> int:
        """The number of the job's lane now."""
        lane_id = self.job.options.lane.id
        return begun(lane_id) if self.begun else lane_id

    def move(self, event: Event, *, now_ms: int | None = None, **changes: Any) -> None:
        """Makes a transition with what always goes with it; ``now_ms``: where the job may end."""
        after = transition(self.job.state, event)
        if after in FINAL:
            changes["finished_ms"] = now_ms
        if after not in PLACED:
            changes["session"] = None
        if after is not JobState.PAUSED:
            changes.setdefault("wake_ms", None)
        self.job = replace(self.job, state=after, **changes)

    def claim(self, session: SessionId) -> ClaimedJob:
        """Places the job on a session, under its next epoch."""
        self.ended_by = None
        self.begun = True
        self.move(Event.CLAIM, session=session, epoch=self.job.epoch + 1, expires_ms=None)
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
        self.move(event, now_ms=now_ms, **self._changes(after, report, now_ms))
        if after is JobState.SUSPENDED and self.job.wake_ms is not None and self.job.wake_ms <= now_ms:
            self.move(Event.WAKE)
        self.ended_by = report
        return True

    def _changes(self, after: JobState, report: Report, now_ms: int) -> dict[str, Any]:
        """What the report changes if it leads to ``after``; a cancelled job stays as it was."""
        match after, report.outcome:
            case JobState.COMPLETED, Completed(result):
                return {"result": result}
            case JobState.SUSPENDED, Suspended(wake_ms):
                return {"wake_ms": wake_ms}
            case JobState.PAUSED, Suspended(wake_ms):
                return {"wake_ms": wake_ms if wake_ms > now_ms else None}
            case (JobState.FAILED, Failed(failure)) | (JobState.PAUSED, Parked(failure)):
                return {"failure": failure}
            case ((JobState.SCHEDULED | JobState.PAUSED), Failed(failure)):
                self.begun = False
                return {
                    "failure": failure,
                    "wake_ms": report.retry_ms,
                    "attempt": self.job.attempt + 1,
                    "journal_length": 0,
                    "started_ms": None,
                }
            case _:
                return {}

    def resume(self, now_ms: int, *, blocked: bool) -> None:
        """A paused job goes on."""
        wake_ms = self.job.wake_ms
        later = wake_ms if wake_ms is not None and wake_ms > now_ms else None
        self.move(Event.RESUME, wake_ms=later, failure=None)
        if blocked:
            self.job = replace(self.job, state=JobState.BLOCKED)
        elif later is not None:
            self.job = replace(self.job, state=JobState.SCHEDULED)

    def unblock(self, now_ms: int) -> None:
        """What the job waited for has ended as it must."""
        wake_ms = self.job.wake_ms
        later = wake_ms if wake_ms is not None and wake_ms > now_ms else None
        self.move(Event.UNBLOCK, wake_ms=later)
        if later is not None:
            self.job = replace(self.job, state=JobState.SCHEDULED)

    def revive(self) -> None:
        """An ended job tries again: a dead one in its attempt, another one in a new one."""
        changes: dict[str, Any] = {"losses": 0, "finished_ms": None, "failure": None, "expires_ms": None}
        if self.job.state is not JobState.DEAD:
            changes["started_ms"] = None
            if self.job.epoch > 0:
                changes |= {"attempt": self.job.attempt + 1, "journal_length": 0}
        # A dead one gave its slot back, too.
        self.begun = False
        self.move(Event.REVIVE, **changes)

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

    def cut(self, length: int) -> None:
        """Takes back the segments of the present attempt that begin at ``length`` or behind it."""
        if length <= self.job.journal_length:
            journal = self._journals.get(self.job.attempt, [])
            journal[:] = [(epoch, segment) for epoch, segment in journal if segment.first < length]
            self.job = replace(self.job, journal_length=length)

    def journal(self, attempt: int) -> list[Segment]:
        """The segments of one attempt, in order."""
        return [segment for _, segment in self._journals.get(attempt, [])]

    def journal_data(self) -> list[bytes]:
        """What the journals of all attempts hold."""
        return [segment.data for journal in self._journals.values() for _, segment in journal]

    def remove_journals(self) -> None:
        """Forgets the journals of all attempts."""
        self._journals.clear()
        self.job = replace(self.job, journal_length=0)
