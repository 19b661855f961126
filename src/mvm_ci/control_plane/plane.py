"""The control plane: all of its parts, put together from ports, started and stopped in order."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from random import random as chance
from typing import Any, TypeAlias

import structlog

from mvm_ci import __version__
from mvm_ci.adapters.system import spare_collections
from mvm_ci.control_plane.api.app import Api
from mvm_ci.control_plane.api.audit import AuditTrail
from mvm_ci.control_plane.api.auth import Authentication
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.engine_door import EngineDoor
from mvm_ci.control_plane.links import PeerLinks
from mvm_ci.control_plane.metrics import Metrics, Watched
from mvm_ci.control_plane.settings import ControlPlaneSettings
from mvm_ci.control_plane.stores import Stores
from mvm_ci.control_plane.transfers import Transfers
from mvm_ci.control_plane.worker_link import WorkerLink
from mvm_ci.domain.errors import MvmCiError
from mvm_ci.domain.events import EventKind
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import JobState, NewJob
from mvm_ci.domain.quota import running_limits
from mvm_ci.lifecycle.artifact_asks import ArtifactAsks
from mvm_ci.lifecycle.artifacts import Artifacts
from mvm_ci.lifecycle.backpressure import Backpressure
from mvm_ci.lifecycle.change import Changer
from mvm_ci.lifecycle.counts import JobCounts
from mvm_ci.lifecycle.dependencies import Dependencies
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.engine_grants import GRANT_KEY_BYTES, EngineGrants
from mvm_ci.lifecycle.events import Events
from mvm_ci.lifecycle.explain import Explainer
from mvm_ci.lifecycle.family import Family
from mvm_ci.lifecycle.fire import Firing
from mvm_ci.lifecycle.fleet import Fleet
from mvm_ci.lifecycle.fork import Forker
from mvm_ci.lifecycle.guest_asks import GuestAsks
from mvm_ci.lifecycle.mailroom import Mailroom
from mvm_ci.lifecycle.messages import Messages
from mvm_ci.lifecycle.modules import Modules
from mvm_ci.lifecycle.namespaces import Namespaces
from mvm_ci.lifecycle.placed_jobs import PlacedJobs
from mvm_ci.lifecycle.promises import Promises
from mvm_ci.lifecycle.reads import JobReads
from mvm_ci.lifecycle.record import Recorder
from mvm_ci.lifecycle.recordings import Recordings
from mvm_ci.lifecycle.rescue import Rescuer
from mvm_ci.lifecycle.schedules import Schedules, submit
from mvm_ci.lifecycle.secrets import Secrets
from mvm_ci.lifecycle.sessions import Sessions
from mvm_ci.lifecycle.submit import Submitter
from mvm_ci.lifecycle.supersede import Superseder
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import Expirer, Overdue, Waker
from mvm_ci.lifecycle.watch import Watch
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobFilter
from mvm_ci.ports.transport import Endpoint
from mvm_ci.serving.loop_lag import LoopLag
from mvm_ci.serving.server import ApiServer

log = structlog.get_logger(__name__)

_STOPPING = 10_000
"""Jobs that workers are to stop, looked up at the start; of others an end may go unheard as an event."""
Duty: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class PartFailed(MvmCiError):
    """A part of the control plane without which it cannot go on has ended: a bug, or a broken machine."""

    code = "part-failed"


class ControlPlane:
    """One control plane. The stores and the endpoint stay their owner's: they are closed after ``stop``.

    ``random``: secure random bytes; ``jitter``: numbers in [0, 1) for retries; ``grant_key``: what seals the
    grants for engines, the same after a restart (None: another one, and engines lose what they run).
    """

    def __init__(
        self,
        settings: ControlPlaneSettings,
        stores: Stores,
        endpoint: Endpoint,
        clock: Clock,
        *,
        random: Callable[[int], bytes] = secrets.token_bytes,
        jitter: Callable[[], float] = chance,
        grant_key: bytes | None = None,
    ) -> None:
        self._settings = settings
        queue, registry, blobs = stores.queue, stores.registry, stores.blobs
        self._stores = stores
        self._endpoint = endpoint
        self._clock = clock
        uncommitted: dict[JobId, NewJob] = {}
        placed = PlacedJobs(queue, uncommitted)
        events = Events(stores.events, clock)
        waiters = Waiters(events)
        secret_values = Secrets(stores.secrets, stores.sealer, clock, random)
        dispatcher = Dispatcher(queue, clock, secret_values)
        self._waker = Waker(queue, clock, dispatcher.renewed)
        self._expirer = Expirer(queue, clock, waiters.ended)
        self._overdue = Overdue(queue, clock, waiters.ended)
        dispatcher.when_unplaced(self._overdue.unplaced)
        waiters.listen(self._overdue)
        self._dependencies = Dependencies(queue, clock, dispatcher, self._waker, waiters)
        self._backpressure = Backpressure(
            queue,
            registry,
            stores.artifacts,
            clock,
            waiters,
            stores.disk,
            max_jobs=settings.max_jobs,
            min_free_bytes=settings.min_free_bytes,
        )
        self._lag = LoopLag()
        for listener in (dispatcher, dispatcher.times, self._dependencies, events):
            waiters.listen(listener)
        rescuer = Rescuer(queue, clock, dispatcher, waiters, settings.max_losses)
        self._mailroom = Mailroom(stores.mail, dispatcher, clock)
        recorder = Recorder(
            queue, clock, dispatcher, self._waker, waiters, uncommitted, jitter, self._went_on
        )
        dispatcher.assignments.park = recorder.park
        self._grants = EngineGrants(
            grant_key or random(GRANT_KEY_BYTES), queue, dispatcher, uncommitted, clock
        )
        self.sessions = Sessions(
            queue,
            registry,
            clock,
            dispatcher,
            rescuer,
            Watch(recorder, dispatcher, clock, settings.stall_ms),
            self._grants,
            lease_ms=settings.lease_ms,
            heartbeat_ms=settings.heartbeat_ms,
            version=__version__,
        )
        modules = Modules(registry, blobs, clock, self._backpressure.admit_bytes)
        artifacts = Artifacts(stores.artifacts, queue, blobs, self._backpressure, clock, placed)
        namespaces = Namespaces(
            stores.access, clock, self._occupied, partial(self._empty, modules, secret_values)
        )
        self._backpressure.quotas = namespaces.quotas
        namespaces.listen(lambda quotas: dispatcher.limit_running(running_limits(quotas)))
        submitter = Submitter(
            queue,
            blobs,
            modules,
            dispatcher,
            self._backpressure,
            clock,
            uncommitted,
            self._inserted,
            secrets=secret_values,
            artifacts=artifacts,
        )
        changer = Changer(
            queue,
            dispatcher,
            waiters,
            (self._waker, self._expirer),
            self._dependencies,
            self._backpressure,
            submitter,
            clock,
        )
        self._family = Family(queue, stores.mail, self._mailroom, clock, submitter, changer.cancel)
        waiters.listen(self._family)
        messages = Messages(queue, self._mailroom, blobs, clock)
        promises = Promises(
            stores.mail, self._mailroom, blobs, clock, lambda: settings.public_url or self.api_url
        )
        asks = GuestAsks(
            placed,
            stores.mail,
            self._mailroom,
            self._family,
            messages,
            promises,
            waiters,
            ArtifactAsks(artifacts, clock),
        )
        conversing = (
            self.sessions,
            dispatcher,
            recorder,
            asks,
            Transfers(queue, blobs, artifacts),
            self._grants,
        )
        self.links = PeerLinks(
            endpoint,
            lambda peer: WorkerLink(peer, *conversing),
            EngineDoor(self.sessions, lambda: self._server.serve_stream),
        )
        counts = JobCounts(queue)
        self._superseder = Superseder(queue, clock, changer.supersede)
        self._firing = Firing(
            stores.schedules, queue, clock, waiters, partial(submit, submitter), changer.cancel
        )
        self.services = Services(
            queue=queue,
            reads=JobReads(queue),
            registry=registry,
            access=stores.access,
            namespaces=namespaces,
            auth=Authentication(stores.access, namespaces, clock),
            trail=AuditTrail(stores.access, clock),
            blobs=blobs,
            clock=clock,
            submitter=submitter,
            artifacts=artifacts,
            backpressure=self._backpressure,
            changer=changer,
            messages=messages,
            promises=promises,
            forker=Forker(
                queue,
                stores.artifacts,
                modules,
                submitter,
                self._backpressure,
                dispatcher,
                clock,
                self._inserted,
            ),
            explainer=Explainer(queue, dispatcher, self.sessions, clock),
            queues=stores.queues,
            schedules=Schedules(stores.schedules, submitter, clock, self._firing.look),
            modules=modules,
            secrets=secret_values,
            dispatcher=dispatcher,
            waiters=waiters,
            events=events,
            counts=counts,
            metrics=Metrics(
                Watched(
                    version=__version__,
                    queue=queue,
                    counts=counts,
                    clock=clock,
                    disk=stores.disk,
                    store=stores.figures,
                    dispatcher=dispatcher,
                    sessions=self.sessions,
                    recorder=recorder,
                    backpressure=self._backpressure,
                    waiters=waiters,
                    events=events,
                    lag=self._lag,
                    door=self.links.door,
                )
            ),
            sessions=self.sessions,
            fleet=Fleet(registry, self.sessions, dispatcher, clock),
            recorder=recorder,
            recordings=Recordings(queue, blobs),
            ticket=endpoint.ticket,
            random=random,
            version=__version__,
            started_ms=clock.now_ms(),
        )
        self._server = ApiServer(Api(self.services), settings.host, settings.port, settings.stop_s)
        self._duties: dict[str, Duty] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def api_url(self) -> str:
        """Where the API listens, once started."""
        return self._server.url

    def add_duty(self, name: str, run: Duty) -> None:
        """One more part, which runs from ``start`` on; if it ends, the control plane fails."""
        self._duties[name] = run

    async def start(self) -> None:
        """Returns when it serves. Raises ``Misconfigured`` (port in use, ...) or ``Unavailable`` (the
        store).
        """
        await self.services.namespaces.load()
        newest = await self._stores.queue.list_jobs(limit=1)
        self.services.submitter.continue_after(newest[0].id if newest else 0)
        await self._backpressure.restore()
        holders = await self.services.dispatcher.restore()
        for namespace, name in await self._stores.queues.paused():
            self.services.dispatcher.pause_queue(namespace, name)
        await self._dependencies.restore()
        await self._family.restore()
        await self._overdue.restore()
        # A crash may have come between a job and what follows from it.
        self._superseder.look(holder.lane for holder in holders)
        await self.services.events.start(await self._stopping())
        await self.sessions.restore()
        await self._server.start()
        parts: dict[str, Duty] = {
            "waker": self._waker.run,
            "expirer": self._expirer.run,
            "deadlines": self._overdue.run,
            "dispatcher": self.services.dispatcher.run,
            "schedules": self._firing.run,
            "keeper of leases": self.sessions.keeper.run,
            "endpoint": self.links.run,
            "loop lag": self._lag.run,
            **self._duties,
        }
        for name, run in parts.items():
            task = asyncio.create_task(run(), name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        spare_collections()
        log.info("control_plane_started", api=self.api_url, endpoint=self._endpoint.id)

    def _inserted(self, jobs: Sequence[NewJob]) -> None:
        """These jobs are durable; most of them have nothing that is of interest here but that."""
        self.services.events.happened(EventKind.SUBMITTED, [job.id for job in jobs])
        for job in jobs:
            options = job.options
            if options.run_at_ms is not None:
                self._waker.arm(options.run_at_ms)
            if options.expires_ms is not None:
                self._expirer.arm(options.expires_ms)
            if options.deadline_ms is not None:
                self._overdue.added(job.id, options.deadline_ms)
        self._dependencies.added(jobs)
        self._superseder.look(job.options.lane for job in jobs)

    def _went_on(self, kind: EventKind, jobs: Sequence[JobId]) -> None:
        """These left their workers and go on later."""
        if kind is EventKind.RETRYING:
            self._family.forsaken(jobs)

    async def failed(self) -> None:
        """Raises ``PartFailed`` when a part that must run has ended; until then it waits.

        Whoever runs the control plane must end it then: without that part jobs would wait for ever.
        """
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Lets requests end, closes the workers' connections and stores what they reported.

        Sessions stay open: the workers come back to the next start. Safe to repeat.
        """
        self.services.waiters.close()
        await self._server.stop()
        await self.links.stop()
        await self._grants.close()
        await self.services.submitter.settle()
        await self._dependencies.close()
        await self._superseder.close()
        await self._family.close()
        await self._mailroom.close()
        await self.services.events.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _stopping(self) -> list[JobId]:
        states = (JobState.CANCELLING, JobState.PAUSING)
        found: list[JobId] = []
        for namespace in self.services.namespaces.all():  # the lists of one namespace have an index
            which = JobFilter(namespace=namespace.name, states=states)
            found += [job.id for job in await self._stores.queue.list_jobs(which, _STOPPING)]
        return found

    async def _occupied(self, namespace: str) -> bool:
        jobs = await self._stores.queue.list_jobs(JobFilter(namespace=namespace), 1)
        return bool(jobs or await self._stores.schedules.page(namespace, limit=1))

    async def _empty(self, modules: Modules, values: Secrets, namespace: str) -> None:
        await modules.empty(namespace)
        await values.empty(namespace)
        await self._stores.artifacts.forget_uploads_of(namespace)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._failed.done():
            return
        error = task.exception()
        what = f"{type(error).__name__}: {error}" if error is not None else "it ended"
        self._failed.set_exception(PartFailed(f"the control plane's {task.get_name()} failed: {what}"))
        self._failed.exception()  # nobody may be waiting: it is logged here
        log.critical("control_plane_part_failed", part=task.get_name(), exc_info=error)
