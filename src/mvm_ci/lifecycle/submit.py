"""Submit: a request's jobs become jobs of the queue, and go straight to workers that have credit."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec
from msgspec.structs import force_setattr, replace

from mvm_ci.domain.errors import BadInput, KeyReused, NotFound, TooLarge, Unavailable
from mvm_ci.domain.ids import Digest, IdSequence, JobId, format_job_id
from mvm_ci.domain.job import JobSpec, NewJob, Placed
from mvm_ci.domain.options import Dependency, JobOptions, Needs
from mvm_ci.domain.payload import INLINE_LIMIT, Payload
from mvm_ci.lifecycle import job_request
from mvm_ci.lifecycle.artifacts import Artifacts
from mvm_ci.lifecycle.assignments import left_ms
from mvm_ci.lifecycle.backpressure import Backpressure
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.job_form import Forms
from mvm_ci.lifecycle.job_request import Upstream
from mvm_ci.lifecycle.keys import Keys
from mvm_ci.lifecycle.modules import Modules
from mvm_ci.lifecycle.seats import Seat
from mvm_ci.lifecycle.secrets import Secrets, Wanted
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.wire.api import MAX_JOBS_PER_REQUEST, SubmitJob
from mvm_ci.wire.messages import Assignment, Drop

_PUTS_AT_ONCE: Final = 16


class Checked(msgspec.Struct, frozen=True):
    """A job that may be handed over. ``known``: the job that its idempotency key already stands for."""

    spec: JobSpec
    options: JobOptions
    upstreams: tuple[Upstream, ...] = ()
    known: JobId | None = None


class Submission(msgspec.Struct, frozen=True):
    """``jobs``: ids, in the order of the request; ``new``: those of them that are new.

    ``durable`` is done when all are.
    """

    jobs: list[JobId]
    new: dict[JobId, NewJob]
    durable: asyncio.Future[None]


class Submitter:
    """``uncommitted``: jobs whose insert is under way; some of them may be running already. ``inserted`` is
    told of jobs when they are durable.
    """

    def __init__(  # noqa: PLR0913 (what it works with, given once at the start)
        self,
        queue: JobQueue,
        blobs: BlobStore,
        modules: Modules,
        dispatcher: Dispatcher,
        backpressure: Backpressure,
        clock: Clock,
        uncommitted: dict[JobId, NewJob],
        inserted: Callable[[Sequence[NewJob]], None],
        *,
        secrets: Secrets,
        artifacts: Artifacts,
    ) -> None:
        self._queue = queue
        self._blobs = blobs
        self._modules = modules
        self._artifacts = artifacts
        self._dispatcher = dispatcher
        self._backpressure = backpressure
        self._clock = clock
        self._inserted = inserted
        self._secrets = secrets
        self._ids = IdSequence()
        self._keys = Keys()
        self._gathered: list[tuple[list[NewJob], asyncio.Future[None]]] = []
        self._commits: set[asyncio.Task[None]] = set()
        self.uncommitted = uncommitted

    def continue_after(self, last: int) -> None:
        """Job ids grow beyond ``last``, whatever the clock says."""
        self._ids = IdSequence(last)

    async def check(self, jobs: Sequence[SubmitJob], namespace: str) -> list[Checked]:
        """The jobs as the queue keeps them; large inputs are stored as blobs.

        Raises ``BadInput``, ``TooLarge``, ``NotFound``, ``Refused`` or ``KeyReused``, saying which job and
        field, and ``QueueFull``, ``QuotaExceeded`` or ``DiskFull``.
        """
        if not jobs:
            raise BadInput("jobs: at least one job is needed")
        if len(jobs) > MAX_JOBS_PER_REQUEST:
            raise TooLarge(f"jobs: {len(jobs)} jobs; at most {MAX_JOBS_PER_REQUEST} a request are allowed")
        await self._backpressure.admit(namespace, len(jobs))
        modules = await self._modules.find(namespace, {job.module for job in jobs})
        forms = Forms(modules, await self._inputs(jobs, namespace), namespace, self._clock.now_ms())
        checked: list[Checked] = []
        large: list[tuple[JobSpec, bytes]] = []
        size = 0
        for number, job in enumerate(jobs):
            form = forms.of(number, job)
            given = job_request.input_of(number, job)
            size += len(given)
            spec = form.spec(given if len(given) <= INLINE_LIMIT else b"")
            upstreams = job_request.upstreams_of(number, job) if job.after else ()
            checked.append(Checked(spec, form.options, upstreams))
            if len(given) > INLINE_LIMIT:
                large.append((spec, given))
        await self._check_secrets(jobs, checked, namespace)
        await self._check_upstreams(checked, namespace)
        await self._backpressure.admit_bytes(namespace, size)
        await self._store_inputs(large)
        # The last step: nobody else can use a key between this and hand_over without its being seen.
        return await self._with_keys(checked, namespace)

    def hand_over(self, checked: Sequence[Checked]) -> Submission:
        """Gives jobs their ids and puts them in line, all or none.

        ``session`` of a job is only set after the next turn of the loop. ``durable`` fails with
        ``Unavailable`` if the queue could not take them. Whoever wants to know of their end registers for it
        before giving control back to the event loop. Raises ``KeyReused``.
        """
        loop = asyncio.get_running_loop()
        now = self._clock.now_ms()
        done: asyncio.Future[None] = loop.create_future()
        ids: list[JobId] = []
        jobs: list[NewJob] = []
        shared: set[asyncio.Future[None]] = set()
        self._keys.check(checked)
        for one in checked:
            options = one.options
            known = one.known
            if options.idempotency is not None and known is None:
                known, durable = self._keys.find(options.lane.namespace, options.idempotency.key)
                if durable is not None:
                    shared.add(durable)
            if known is not None:
                ids.append(known)
                continue
            job_id = JobId(self._ids.next(now))
            ids.append(job_id)
            if one.upstreams:
                options = replace(options, after=_after(one.upstreams, ids))
            if options.idempotency is not None:
                self._keys.use(options.lane.namespace, options.idempotency, job_id, done)
                shared.add(done)
            jobs.append(NewJob(id=job_id, spec=one.spec, created_ms=now, options=options))
        self._gather(jobs, done)
        self._backpressure.added(len(jobs))
        durable = done if not shared else _all({done, *shared})
        return Submission(ids, {job.id: job for job in jobs}, durable)

    async def known(self, jobs: Sequence[SubmitJob], namespace: str) -> list[JobId] | None:
        """The jobs that the idempotency keys of these stand for, durably; None if one stands for none, or
        there is none. Raises ``Unavailable``.
        """
        keys = [job.idempotency_key for job in jobs if job.idempotency_key is not None]
        found = await self._queue.keyed(namespace, keys)
        ids: list[JobId] = []
        for key in keys:
            job, durable = self._keys.find(namespace, key)
            if durable is not None:
                await asyncio.shield(durable)
            known = found[key].job if key in found else job
            if known is None:
                return None
            ids.append(known)
        return ids or None

    def deleted(self, jobs: Sequence[JobId]) -> None:
        """These jobs are gone: their idempotency keys may be used anew."""
        self._keys.forget_jobs(jobs)

    def deleted_before(self, job: JobId) -> None:
        """Older jobs may be gone, or their idempotency keys: these are looked up anew."""
        self._keys.forget_before(job)

    def new_id(self, now_ms: int) -> JobId:
        """An id for a job that does not come by ``hand_over``."""
        return JobId(self._ids.next(now_ms))

    async def settle(self) -> None:
        """Returns when every insert under way was answered."""
        while self._gathered or self._commits:
            await asyncio.sleep(0)
            await asyncio.gather(*self._commits)

    def _gather(self, jobs: list[NewJob], done: asyncio.Future[None]) -> None:
        if not jobs:
            done.set_result(None)
            return
        if not self._gathered and not self._commits:
            # One turn of the loop later: everything that this round of I/O brought goes together. While an
            # insert is under way the next one gathers: few large frames to the workers instead of many small
            # ones.
            asyncio.get_running_loop().call_soon(self._flush)
        self._gathered.append((jobs, done))

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        jobs = [job for request, _ in gathered for job in request]
        placed = self._place(jobs)
        self.uncommitted.update((job.id, job) for job in jobs)
        try:
            insert: asyncio.Future[None] = asyncio.ensure_future(
                self._queue.submit(jobs, self._dispatcher.scheduler.levels())
            )
        except Unavailable as error:
            insert = asyncio.get_running_loop().create_future()
            insert.set_exception(error)
        now = self._clock.now_ms()
        # The queue's writer keeps the order of calls: nothing that a worker reports of these jobs can become
        # durable before them, so they may leave before they are durable themselves.
        for seat, items in placed.items():
            self._dispatcher.times.claimed(seat.assign(items, now), now)
        waiting = [done for _, done in gathered]
        task = asyncio.get_running_loop().create_task(self._commit(insert, jobs, waiting, placed))
        self._commits.add(task)
        task.add_done_callback(self._committed)

    def _committed(self, task: asyncio.Task[None]) -> None:
        self._commits.discard(task)
        if self._gathered:
            self._flush()

    def _place(self, jobs: Sequence[NewJob]) -> dict[Seat, list[Assignment]]:
        """Chooses seats for jobs, oldest first, if nothing goes before them and somebody has credit."""
        placed: dict[Seat, list[Assignment]] = {}
        # A lane of which one job has to stand in line is not asked for again: the others stand behind it.
        waiting: set[int] = set()
        dispatcher = self._dispatcher
        for job in jobs:
            options = job.options
            lane = options.lane
            if options.after or options.run_at_ms is not None or lane.id in waiting:
                continue
            seat = dispatcher.place(lane, job.id, at_once=not job.spec.secrets)
            if seat is None:
                waiting.add(lane.id)
                dispatcher.ready(lane)
                continue
            # Nobody else has seen the struct yet.
            force_setattr(job, "session", seat.session)
            left = left_ms(options.deadline_ms, job.created_ms)
            item = Assignment(Placed(job.id, 1), 1, job.spec, left_ms=left)
            placed.setdefault(seat, []).append(item)
        dispatcher.seats.next_round()
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
                self._dispatcher.left(seat.session, dropped)
            self._dispatcher.ended([job.id for job in jobs])
            self._backpressure.added(-len(jobs))
            self._keys.forget(jobs)
            why = await self._backpressure.explained(error)
            for done in waiting:
                if not done.done():
                    done.set_exception(why)
        else:
            self._backpressure.durable(len(jobs))
            for done in waiting:
                if not done.done():
                    done.set_result(None)
            self._inserted(jobs)
        finally:
            for job in jobs:
                del self.uncommitted[job.id]

    async def _check_secrets(
        self, jobs: Sequence[SubmitJob], checked: Sequence[Checked], namespace: str
    ) -> None:
        wanted = [
            Wanted(f"jobs[{number}].secrets", jobs[number].module, one.spec.module, one.spec.secrets)
            for number, one in enumerate(checked)
            if one.spec.secrets
        ]
        if wanted:
            await self._secrets.check(namespace, wanted)

    async def _check_upstreams(self, checked: Sequence[Checked], namespace: str) -> None:
        asked = sorted({JobId(up.job) for one in checked for up in one.upstreams if not up.same_request})
        if not asked:
            return
        found = dict(zip(asked, await self._queue.get(asked), strict=True))
        for number, one in enumerate(checked):
            for up in one.upstreams:
                job = found.get(JobId(up.job)) if not up.same_request else None
                uncommitted = self.uncommitted.get(JobId(up.job))
                options = job.options if job is not None else uncommitted.options if uncommitted else None
                if not up.same_request and (options is None or options.lane.namespace != namespace):
                    raise NotFound(f"jobs[{number}].after: there is no job {format_job_id(up.job)}")

    async def _inputs(self, jobs: Sequence[SubmitJob], namespace: str) -> Mapping[Digest, int]:
        """The sizes of the artifacts that jobs are to be given, as far as the namespace holds them."""
        asked = {Digest(digest) for job in jobs if job.inputs for digest in job.inputs.values()}
        return await self._artifacts.held(namespace, asked) if asked else {}

    async def _with_keys(self, checked: list[Checked], namespace: str) -> list[Checked]:
        keys = {one.options.idempotency.key for one in checked if one.options.idempotency is not None}
        if not keys:
            return checked
        known = await self._queue.keyed(namespace, sorted(keys))
        result: list[Checked] = []
        for number, one in enumerate(checked):
            once = one.options.idempotency
            found = known.get(once.key) if once is not None else None
            if once is None or found is None:
                result.append(one)
                continue
            if found.request != once.request:
                raise KeyReused(
                    f"jobs[{number}].idempotency_key: {once.key[:80]!r} stands for another request, "
                    f"that of job {format_job_id(found.job)}"
                )
            result.append(replace(one, known=found.job))
        return result

    async def _store_inputs(self, large: Sequence[tuple[JobSpec, bytes]]) -> None:
        for at in range(0, len(large), _PUTS_AT_ONCE):
            part = large[at : at + _PUTS_AT_ONCE]
            try:
                refs = await asyncio.gather(*(self._blobs.put(data) for _, data in part))
            except Unavailable as error:
                raise await self._backpressure.explained(error) from error
            for (spec, _), ref in zip(part, refs, strict=True):
                stored: Payload = ref
                force_setattr(spec, "input", stored)


def _after(upstreams: Sequence[Upstream], ids: Sequence[JobId]) -> tuple[Dependency, ...]:
    """``ids``: of the earlier jobs of the request. Two may be one job: success is stricter."""
    needs: dict[JobId, Needs] = {}
    for up in upstreams:
        job = ids[up.job] if up.same_request else JobId(up.job)
        if up.needs is Needs.SUCCESS or job not in needs:
            needs[job] = up.needs
    return tuple(Dependency(job, need) for job, need in needs.items())


def _all(futures: AbstractSet[asyncio.Future[None]]) -> asyncio.Future[None]:
    """Done when all are. Whoever gives up waiting for it cancels none of them: others wait, too."""

    async def wait() -> None:
        await asyncio.wait(futures)
        for future in futures:
            future.result()

    return asyncio.ensure_future(wait())
