"""Submit: a request's jobs become jobs of the queue, and go straight to workers that have credit."""

import asyncio
import math
from collections.abc import Sequence
from typing import Final

from msgspec.structs import force_setattr

from mvm_ci.domain.errors import BadInput, NotFound, TooLarge, Unavailable
from mvm_ci.domain.ids import Digest, IdSequence, JobId, is_digest
from mvm_ci.domain.job import JobSpec, NewJob, Placed
from mvm_ci.domain.payload import INLINE_LIMIT, Payload
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.modules import Modules, check_hosts, check_name
from mvm_ci.lifecycle.seats import Seat
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.wire.api import MAX_INPUT, MAX_JOBS_PER_REQUEST, SubmitJob
from mvm_ci.wire.messages import Assignment, Drop

MAX_ATTEMPTS: Final = 100
MAX_TIMEOUT_S: Final = 30 * 86_400.0
MAX_MEMORY_MB: Final = 4_096
_PUTS_AT_ONCE: Final = 16


class Submitter:
    """``uncommitted``: jobs whose insert is under way; some of them may be running already."""

    def __init__(
        self,
        queue: JobQueue,
        blobs: BlobStore,
        modules: Modules,
        dispatcher: Dispatcher,
        clock: Clock,
        uncommitted: dict[JobId, NewJob],
    ) -> None:
        self._queue = queue
        self._blobs = blobs
        self._modules = modules
        self._dispatcher = dispatcher
        self._clock = clock
        self._ids = IdSequence()
        self._gathered: list[tuple[list[NewJob], asyncio.Future[None]]] = []
        self._commits: set[asyncio.Task[None]] = set()
        self.uncommitted = uncommitted

    def continue_after(self, last: int) -> None:
        """Job ids grow beyond ``last``, whatever the clock says."""
        self._ids = IdSequence(last)

    async def check(self, jobs: Sequence[SubmitJob]) -> list[JobSpec]:
        """The jobs as the queue keeps them; large inputs are stored as blobs.

        Raises ``BadInput``, ``TooLarge`` or ``NotFound``, saying which job and field.
        """
        if not jobs:
            raise BadInput("jobs: at least one job is needed")
        if len(jobs) > MAX_JOBS_PER_REQUEST:
            raise TooLarge(f"jobs: {len(jobs)} jobs; at most {MAX_JOBS_PER_REQUEST} a request are allowed")
        asked = {job.module for job in jobs}
        modules = await self._modules.find(Digest(text) for text in asked if is_digest(text))
        specs: list[JobSpec] = []
        large: list[tuple[JobSpec, bytes]] = []
        for number, job in enumerate(jobs):
            _check_ranges(number, job)
            module = modules.get(Digest(job.module))
            if module is None:
                raise NotFound(
                    f"jobs[{number}].module: there is no module {job.module[:80]!r}; upload it first"
                )
            if job.allow_hosts is not None:
                check_hosts(job.allow_hosts, f"jobs[{number}].allow_hosts")
            given = _input(number, job)
            spec = JobSpec(
                module=module.digest,
                input=given if len(given) <= INLINE_LIMIT else b"",
                name=job.name,
                allow_hosts=module.allow_hosts if job.allow_hosts is None else job.allow_hosts,
                max_attempts=job.max_attempts,
                timeout_ms=max(1, round(job.timeout_s * 1000)),
                memory_bytes=job.memory_mb << 20,
            )
            specs.append(spec)
            if len(given) > INLINE_LIMIT:
                large.append((spec, given))
        await self._store_inputs(large)
        return specs

    def hand_over(self, specs: Sequence[JobSpec]) -> tuple[list[NewJob], asyncio.Future[None]]:
        """Gives jobs their ids and puts them in line, all or none; the future is done when they are durable.

        ``session`` of a job is only set after the next turn of the loop. The result is ``Unavailable`` if
        the queue could not take them. Whoever wants to know of their end
        registers
        for it before giving control back to the event loop.
        """
        loop = asyncio.get_running_loop()
        now = self._clock.now_ms()
        jobs = [NewJob(id=JobId(self._ids.next(now)), spec=spec, created_ms=now) for spec in specs]
        done: asyncio.Future[None] = loop.create_future()
        if not self._gathered and not self._commits:
            # One turn of the loop later: everything that this round of I/O brought goes together. While an
            # insert
            # is under way the next one gathers: few large frames to the workers instead of many small ones.
            loop.call_soon(self._flush)
        self._gathered.append((jobs, done))
        return jobs, done

    async def settle(self) -> None:
        """Returns when every insert under way was answered."""
        while self._gathered or self._commits:
            await asyncio.sleep(0)
            await asyncio.gather(*self._commits)

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        jobs = [job for request, _ in gathered for job in request]
        placed = self._place(jobs)
        self.uncommitted.update((job.id, job) for job in jobs)
        try:
            insert: asyncio.Future[None] = asyncio.ensure_future(self._queue.submit(jobs))
        except Unavailable as error:
            insert = asyncio.get_running_loop().create_future()
            insert.set_exception(error)
        now = self._clock.now_ms()
        # The queue's writer keeps the order of calls: nothing that a worker reports of these jobs can become
        # durable before them, so they may leave before they are durable themselves.
        for seat, items in placed.items():
            seat.assign(items, now)
        waiting = [done for _, done in gathered]
        task = asyncio.get_running_loop().create_task(self._commit(insert, jobs, waiting, placed))
        self._commits.add(task)
        task.add_done_callback(self._committed)

    def _committed(self, task: asyncio.Task[None]) -> None:
        self._commits.discard(task)
        if self._gathered:
            self._flush()

    def _place(self, jobs: Sequence[NewJob]) -> dict[Seat, list[Assignment]]:
        """Chooses seats for jobs, oldest first, as long as no older ones wait and somebody has credit."""
        placed: dict[Seat, list[Assignment]] = {}
        seats = self._dispatcher.seats
        for job in jobs:
            seat = None if self._dispatcher.backlog else seats.take()
            if seat is None:
                self._dispatcher.pending()
                break
            # Nobody else has seen the struct yet.
            force_setattr(job, "session", seat.session)
            placed.setdefault(seat, []).append(Assignment(Placed(job.id, 1), 1, job.spec))
        seats.next_round()
        return placed

    async def _commit(
        self,
        insert: asyncio.Future[None],
        jobs: Sequence[NewJob],
        waiting: Sequence[asyncio.Future[None]],
        placed: dict[Seat, list[Assignment]],
    ) -> None:
        try:
            await insert
        except Exception as error:  # noqa: BLE001 (goes to every caller, whatever it is)
            for seat, items in placed.items():
                dropped = tuple(item.placed for item in items)
                seat.link.send(Drop(dropped))
                seat.forget([item.job for item in dropped])
            for done in waiting:
                if not done.done():
                    done.set_exception(error)
        else:
            for done in waiting:
                if not done.done():
                    done.set_result(None)
        finally:
            for job in jobs:
                del self.uncommitted[job.id]

    async def _store_inputs(self, large: Sequence[tuple[JobSpec, bytes]]) -> None:
        for at in range(0, len(large), _PUTS_AT_ONCE):
            part = large[at : at + _PUTS_AT_ONCE]
            refs = await asyncio.gather(*(self._blobs.put(data) for _, data in part))
            for (spec, _), ref in zip(part, refs, strict=True):
                stored: Payload = ref
                force_setattr(spec, "input", stored)


def _check_ranges(number: int, job: SubmitJob) -> None:
    where = f"jobs[{number}]"
    check_name(job.name, f"{where}.name")
    if not 1 <= job.max_attempts <= MAX_ATTEMPTS:
        raise BadInput(f"{where}.max_attempts: {job.max_attempts} is not between 1 and {MAX_ATTEMPTS}")
    if not (math.isfinite(job.timeout_s) and 0 < job.timeout_s <= MAX_TIMEOUT_S):
        raise BadInput(f"{where}.timeout_s: {job.timeout_s} is not above 0 and at most {MAX_TIMEOUT_S:.0f}")
    if not 1 <= job.memory_mb <= MAX_MEMORY_MB:
        raise BadInput(f"{where}.memory_mb: {job.memory_mb} is not between 1 and {MAX_MEMORY_MB}")


def _input(number: int, job: SubmitJob) -> bytes:
    given = bytes(job.input)
    if len(given) > MAX_INPUT:
        raise TooLarge(f"jobs[{number}].input: {len(given)} bytes; at most {MAX_INPUT} are allowed")
    try:
        given.decode()
    except UnicodeDecodeError:
        raise BadInput(f"jobs[{number}].input: not UTF-8") from None
    return given
