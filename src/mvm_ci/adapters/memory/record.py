"""One job in memory, and what can happen to it."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import FINAL, PLACED, ClaimedJob, Event, Job, JobState, NewJob, sources, transition
from mvm_ci.domain.lane import begun
from mvm_ci.domain.mail import CANCELLATION
from mvm_ci.domain.options import Dependency
from mvm_ci.domain.outcome import (
    Completed,
    Continued,
    Failed,
    Failure,
    Outcome,
    Parked,
    Released,
    Stopped,
    Suspended,
)
from mvm_ci.domain.payload import Payload
from mvm_ci.ports.job_queue import Report, Segment


class Piece(msgspec.Struct):
    """Mail of a job. ``state``: how a child ended."""

    number: int
    topic: str
    key: str
    body: Payload | None = None
    failure: Failure | None = None
    state: JobState | None = None
    taken: bool = False


class Kept(msgspec.Struct, frozen=True):
    """An artifact of a job. ``order``: epoch and number of its put."""

    artifact: Artifact
    at_ms: int
    input: bool
    order: tuple[int, int] = (0, 0)


_EVENTS: dict[type[Outcome], Event] = {
    Completed: Event.COMPLETE,
    Failed: Event.FAIL,
    Suspended: Event.SUSPEND,
    Parked: Event.PARK,
    Released: Event.RELEASE,
    Stopped: Event.STOPPED,
    Continued: Event.CONTINUE,
}


class Record:
    """A job with its journals. ``ended_by``: the report that ended the placement of the present epoch;
    ``begun``: its attempt has been placed; ``mail``: what came for it; ``artifacts``: by name;
    ``on_end``: told when it ends.
    """

    def __init__(self, job: Job, after: Sequence[Dependency], on_end: Callable[["Record"], None]) -> None:
        self.job = job
        self.after = sorted(after, key=lambda dependency: dependency.job)
        self.begun = False
        self.ended_by: Report | None = None
        self.mail: list[Piece] = []
        given = job.spec.inputs
        self.artifacts = {one.name: Kept(one, job.created_ms, True) for one in given}
        self._on_end = on_end
        self._journals: dict[int, list[tuple[int, Segment]]] = {}

    @classmethod
    def of(cls, new: NewJob, on_end: Callable[["Record"], None]) -> "Record":
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
        record = cls(job, options.after, on_end)
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
        if after in FINAL:
            self._on_end(self)

    def post(self, piece: Piece) -> None:
        """Puts mail into the box; if the job is suspended for it, it is pending."""
        if any((known.topic, known.key) == (piece.topic, piece.key) for known in self.mail):
            return
        self.mail.append(piece)
        if self.job.state is JobState.SUSPENDED and piece.topic in self.job.awaits:
            self.move(Event.WAKE)

    def has_mail(self) -> bool:
        """Whether there is some that the job waits for."""
        return any(not piece.taken and piece.topic in self.job.awaits for piece in self.mail)

    def mail_bodies(self, *, of_children: bool = True) -> list[Payload]:
        """What mail that waits says."""
        waiting = [piece for piece in self.mail if not piece.taken and (of_children or piece.state is None)]
        return [piece.body for piece in waiting if piece.body is not None]

    def needs(self, other: JobId) -> bool:
        """Whether it waits for the end of another job, or is the child of one."""
        parent = self.job.options.parent
        return (parent is not None and parent.job == other) or any(one.job == other for one in self.after)

    def claim(self, session: SessionId) -> ClaimedJob:
        """Places the job on a session, under its next epoch."""
        self.ended_by = None
        self.begun = True
        cancelling = self.job.awaits == CANCELLATION
        self.move(Event.CLAIM, session=session, epoch=self.job.epoch + 1, expires_ms=None, awaits=())
        if cancelling:
            self.move(Event.CANCEL)
        return ClaimedJob.of(self.job)

    def cancel(self, now_ms: int, why: Failure | None) -> None:
        """Its end is asked for; a guest that has begun, is at no worker and has a grace cleans up first."""
        job = self.job
        changes = {"failure": why or job.failure}
        if (
            job.state in {JobState.SUSPENDED, JobState.PENDING}
            and job.journal_length
            and job.spec.cancel_grace_ms
            and job.awaits != CANCELLATION
        ):
            self.job = replace(job, state=JobState.PENDING, wake_ms=None, awaits=CANCELLATION, **changes)
        else:
            self.move(Event.CANCEL, now_ms=now_ms, **changes)

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
        due = self.job.wake_ms is not None and self.job.wake_ms <= now_ms
        if after is JobState.SUSPENDED and (due or self.has_mail()):
            self.move(Event.WAKE)
        if after is JobState.PAUSED and self.has_mail():
            self.job = replace(self.job, wake_ms=None)
        if isinstance(report.outcome, Continued) and after is not JobState.CANCELLED:
            self._trim()
        self.ended_by = report
        return True

    def _changes(self, after: JobState, report: Report, now_ms: int) -> dict[str, Any]:
        """What the report changes if it leads to ``after``; a cancelled job stays as it was."""
        match after, report.outcome:
            case JobState.COMPLETED, Completed(result):
                return {"result": result}
            case ((JobState.SUSPENDED | JobState.PAUSED), Suspended(wake_ms, topics)):
                later = after is JobState.SUSPENDED or wake_ms > now_ms
                return {"wake_ms": wake_ms if later else None, "awaits": topics}
            case ((JobState.PENDING | JobState.PAUSED), Continued(given)):
                spec, attempt = replace(self.job.spec, input=given), self.job.attempt + 1
                return {"spec": spec, "first_attempt": attempt, **self._anew()}
            case (JobState.FAILED, Failed(failure)) | (JobState.PAUSED, Parked(failure)):
                return {"failure": failure}
            case ((JobState.SCHEDULED | JobState.PAUSED), Failed(failure)):
                self.begun = False
                return {"failure": failure, "wake_ms": report.retry_ms, **self._anew()}
            case _:
                return {}

    def _anew(self) -> dict[str, Any]:
        """What changes when another execution begins."""
        return {"attempt": self.job.attempt + 1, "journal_length": 0, "started_ms": None}

    def resume(self, now_ms: int, *, blocked: bool) -> None:
        """A paused job goes on."""
        wake_ms = self.job.wake_ms
        later = wake_ms if wake_ms is not None and wake_ms > now_ms and not self.job.awaits else None
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
        # It is nobody's child any more: its parent has heard of its end.
        changes["options"] = replace(self.job.options, parent=None, deadline_ms=None)
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
        return (self.job.epoch, replace(segment, taken=())) in self._journals.get(self.job.attempt, [])

    def write(self, segment: Segment) -> None:
        """Adds a segment that fits."""
        for piece in self.mail:
            if piece.number in segment.taken:
                piece.taken, piece.body, piece.failure = True, None, None
        segment = replace(segment, taken=())
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

    def _trim(self) -> None:
        """Forgets all journals but the last two."""
        for attempt in list(self._journals):
            if attempt < self.job.attempt - 1:
                del self._journals[attempt]

    def remove_journals(self) -> None:
        """Forgets the journals of all attempts."""
        self._journals.clear()
        self.job = replace(self.job, journal_length=0)
