"""The control plane: all of its parts, put together from ports, started and stopped in order."""

import asyncio
import gc
import secrets
from collections.abc import Callable
from random import random as chance

import structlog

from mvm_ci import __version__
from mvm_ci.control_plane.api.app import Api
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.links import WorkerLinks
from mvm_ci.control_plane.server import ApiServer
from mvm_ci.control_plane.settings import ControlPlaneSettings
from mvm_ci.control_plane.transfers import Transfers
from mvm_ci.domain.errors import MvmCiError
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import NewJob
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.modules import Modules
from mvm_ci.lifecycle.reads import JobReads
from mvm_ci.lifecycle.record import Recorder
from mvm_ci.lifecycle.rescue import Rescuer
from mvm_ci.lifecycle.sessions import Sessions
from mvm_ci.lifecycle.submit import Submitter
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import Waker
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.registry import Registry
from mvm_ci.ports.transport import Endpoint

log = structlog.get_logger(__name__)

_GC_THRESHOLD = 50_000


class PartFailed(MvmCiError):
    """A part of the control plane without which it cannot go on has ended: a bug, or a broken machine."""

    code = "part-failed"


class ControlPlane:
    """One control plane. The stores and the endpoint stay their owner's: they are closed after ``stop``.

    ``random``: secure random bytes; ``jitter``: numbers in [0, 1) for retries.
    """

    def __init__(
        self,
        settings: ControlPlaneSettings,
        queue: JobQueue,
        registry: Registry,
        blobs: BlobStore,
        endpoint: Endpoint,
        clock: Clock,
        *,
        random: Callable[[int], bytes] = secrets.token_bytes,
        jitter: Callable[[], float] = chance,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._endpoint = endpoint
        self._clock = clock
        uncommitted: dict[JobId, NewJob] = {}
        waiters = Waiters()
        dispatcher = Dispatcher(queue, clock)
        self._waker = Waker(queue, clock, dispatcher.pending)
        rescuer = Rescuer(queue, clock, dispatcher, waiters, settings.max_losses)
        self.sessions = Sessions(
            queue,
            registry,
            clock,
            dispatcher,
            rescuer,
            lease_ms=settings.lease_ms,
            heartbeat_ms=settings.heartbeat_ms,
            version=__version__,
        )
        recorder = Recorder(queue, clock, dispatcher, self._waker, waiters, uncommitted, jitter)
        modules = Modules(registry, blobs, clock)
        self._links = WorkerLinks(endpoint, self.sessions, dispatcher, recorder, Transfers(queue, blobs))
        self.services = Services(
            queue=queue,
            reads=JobReads(queue),
            registry=registry,
            blobs=blobs,
            clock=clock,
            submitter=Submitter(queue, blobs, modules, dispatcher, clock, uncommitted),
            modules=modules,
            dispatcher=dispatcher,
            waiters=waiters,
            sessions=self.sessions,
            recorder=recorder,
            ticket=endpoint.ticket,
            random=random,
            version=__version__,
            started_ms=clock.now_ms(),
        )
        self._server = ApiServer(Api(self.services), settings.host, settings.port, settings.stop_s)
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def api_url(self) -> str:
        """Where the API listens, once started."""
        return self._server.url

    async def start(self) -> None:
        """Returns when it serves. Raises ``Misconfigured`` (port in use, ...) or ``Unavailable`` (the
        store).
        """
        newest = await self._queue.list_jobs(limit=1)
        self.services.submitter.continue_after(newest[0].id if newest else 0)
        await self.sessions.restore()
        await self._server.start()
        parts = {
            "waker": self._waker.run,
            "dispatcher": self.services.dispatcher.run,
            "keeper of leases": self.sessions.keeper.run,
            "endpoint": self._links.run,
        }
        for name, run in parts.items():
            task = asyncio.create_task(run(), name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        # What lives from here on lives long: a full collection over it would stop everything for long.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])
        log.info("control_plane_started", api=self.api_url, endpoint=self._endpoint.id)

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
        await self._links.stop()
        await self.services.submitter.settle()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._failed.done():
            return
        error = task.exception()
        what = f"{type(error).__name__}: {error}" if error is not None else "it ended"
        self._failed.set_exception(PartFailed(f"the control plane's {task.get_name()} failed: {what}"))
        self._failed.exception()  # nobody may be waiting: it is logged here
        log.critical("control_plane_part_failed", part=task.get_name(), exc_info=error)
