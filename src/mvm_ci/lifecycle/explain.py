"""Explain: what keeps a job waiting, and what would change that."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.job import FINAL, PLACED, Job, JobState
from mvm_ci.domain.labels import format_labels, matches
from mvm_ci.domain.lane import Lane
from mvm_ci.domain.mail import NEVER_MS, shown_topic
from mvm_ci.domain.options import Dependency, Needs
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.sessions import Sessions
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.wire.api import Reason

MOST_AHEAD: Final = 1_000_000
_SHOWN: Final = 5


class Explainer:
    """Looks at what decides, as it is now."""

    def __init__(self, queue: JobQueue, dispatcher: Dispatcher, sessions: Sessions, clock: Clock) -> None:
        self._queue = queue
        self._dispatcher = dispatcher
        self._sessions = sessions
        self._clock = clock

    async def explain(self, job: Job) -> tuple[list[Reason], int | None]:
        """The reasons, most telling first, and for a ready job how many of its kind come before it."""
        reasons, ahead = await self._reasons(job)
        deadline_ms = job.options.deadline_ms
        if deadline_ms is not None and job.state not in FINAL:
            message = f"it fails if it has not ended by {_time(deadline_ms)}"
            reasons.append(_reason("deadline", message, ""))
        return reasons, ahead

    async def _reasons(self, job: Job) -> tuple[list[Reason], int | None]:
        state = job.state
        if state is JobState.PENDING:
            ahead = await self._queue.ahead(job.id, MOST_AHEAD)
            return self._ready(job, ahead), ahead
        if state is JobState.BLOCKED:
            return await self._blocked(job), None
        if state in PLACED:
            return [self._placed(job)], None
        return [self._waiting(job)], None

    def _ready(self, job: Job, ahead: int) -> list[Reason]:
        lane = job.options.lane
        reasons = self._held_back(lane)
        seats = list(self._dispatcher.seats)
        able = [seat for seat in seats if matches(dict(lane.labels), seat.labels)]
        if not seats:
            reasons.append(_reason("no-worker", "no worker is connected", "start a worker: mvm-ci worker"))
        elif not able:
            wanted = format_labels(dict(lane.labels))
            message = f"none of the {len(seats)} connected workers has the labels {wanted}"
            reasons.append(_reason("no-worker-with-labels", message, f"start a worker with {wanted}"))
        elif all(seat.draining for seat in able):
            message = f"all of the {len(able)} workers that could run it drain"
            reasons.append(_reason("workers-drain", message, "start a worker, or let one take jobs again"))
        elif all(seat.credits < 1 for seat in able):
            message = f"the {len(able)} workers that could run it have as many jobs as they take"
            reasons.append(_reason("no-free-slot", message, "wait, or start more workers"))
        higher = {other.priority for _, other in self._dispatcher.scheduler if other.priority > lane.priority}
        if higher:
            message = f"jobs of higher priority are ready: {max(higher)}, while its own is {lane.priority}"
            reasons.append(_reason("higher-priority", message, "wait, or submit it with a higher priority"))
        if ahead:
            message = f"{ahead} ready jobs of its kind were submitted before it"
            reasons.append(_reason("in-line", message, "wait, or start more workers"))
        if not reasons:
            reasons.append(_reason("ready", "it is ready and about to be given to a worker", ""))
        return reasons

    def _held_back(self, lane: Lane) -> list[Reason]:
        """What the scheduler does not let begin now."""
        reasons = []
        scheduler = self._dispatcher.scheduler
        if scheduler.paused((lane.namespace, lane.queue)):
            remedy = f"mvm-ci queue resume {lane.queue}"
            reasons.append(_reason("queue-paused", f"its queue {lane.queue} is paused", remedy))
        room = scheduler.limits.room(lane, lane.id, self._clock.now_ms())
        if room.jobs or room.key is None:
            return reasons
        used = scheduler.limits.used(room.key)
        if room.at_ms is not None:
            message = f"the rate of its concurrency key {room.key[1]} is used up until {_time(room.at_ms)}"
            reasons.append(_reason("rate-limit", message, "wait"))
        elif room.key[1] is None:
            message = f"{used} jobs of the namespace {lane.namespace} run, which is its quota"
            reasons.append(_reason("namespace-quota", message, "wait, or raise the quota"))
        else:
            message = f"its concurrency key {room.key[1]} is full: {used} jobs hold it"
            reasons.append(_reason("concurrency-key", message, "wait for one of them, or cancel it"))
        return reasons

    async def _blocked(self, job: Job) -> list[Reason]:
        dependencies = await self._queue.dependencies(job.id)
        found = await self._queue.get([dependency.job for dependency in dependencies])
        open_ = [
            (dependency, upstream)
            for dependency, upstream in zip(dependencies, found, strict=True)
            if upstream is not None and upstream.state not in FINAL
        ]
        return [_unfinished(open_)]

    def _placed(self, job: Job) -> Reason:
        session = self._sessions.by_id(job.session) if job.session is not None else None
        if session is None:
            return _reason("worker-lost", "its worker is gone; it goes on elsewhere soon", "wait")
        where = f"worker {session.name}"
        match job.state:
            case JobState.CLAIMED:
                message = f"{where} has it, and has not reported that it runs"
            case JobState.IN_PROGRESS:
                message = f"it runs on {where}"
            case _:
                message = f"{where} was told to stop it"
        if session.link is None:
            left = self._sessions.lease_left_ms(session) / 1000
            message += f"; the worker is not connected, and is lost in {left:.0f} s"
        return _reason("at-worker", message, "")

    def _waiting(self, job: Job) -> Reason:
        name = format_job_id(job.id)
        why = job.failure.message if job.failure is not None else ""
        match job.state:
            case JobState.SUSPENDED:
                sleeps = f"it sleeps until {_time(job.wake_ms)}"
                return _reason(*(("mail", _awaited(job)) if job.awaits else ("sleeping", sleeps)), "wait")
            case JobState.SCHEDULED if job.attempt > 1 and why:
                message = f"attempt {job.attempt} begins at {_time(job.wake_ms)}; the last one failed: {why}"
                return _reason("retry", message, "wait")
            case JobState.SCHEDULED:
                return _reason("run-at", f"it is not to run before {_time(job.wake_ms)}", "wait")
            case JobState.PAUSED:
                message = f"it is paused: {why}" if why else "it is paused"
                return _reason("paused", message, f"mvm-ci job resume {name}")
            case JobState.COMPLETED:
                return _reason("ended", "it has completed", f"mvm-ci job result {name}")
            case _:
                message = f"it is {job.state.label}" + (f": {why}" if why else "")
                return _reason("ended", message, f"mvm-ci job retry {name}")


def _awaited(job: Job) -> str:
    shown = ", ".join(map(shown_topic, job.awaits[:_SHOWN]))
    more = f" and {len(job.awaits) - _SHOWN} more" if len(job.awaits) > _SHOWN else ""
    until = "" if job.wake_ms == NEVER_MS else f", until {_time(job.wake_ms)} at most"
    return f"it waits for {shown}{more}{until}"


def _unfinished(open_: Sequence[tuple[Dependency, Job]]) -> Reason:
    if not open_:
        return _reason("dependencies", "the jobs it waits for have just ended", "wait")
    shown = ", ".join(
        f"{format_job_id(upstream.id)} ({upstream.state.label}, "
        f"{'must complete' if dependency.needs is Needs.SUCCESS else 'must end'})"
        for dependency, upstream in open_[:_SHOWN]
    )
    more = f" and {len(open_) - _SHOWN} more" if len(open_) > _SHOWN else ""
    return _reason("dependencies", f"it waits for {shown}{more}", "wait, or look at why those wait")


def _reason(code: str, message: str, remedy: str) -> Reason:
    return Reason(code=code, message=message, remedy=remedy)


def _time(ms: int | None) -> str:
    if ms is None:
        return "some time"
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
