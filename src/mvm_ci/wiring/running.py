"""Running a process: its event loop, its signals, its end.

Each process loads its own parts alone: a worker that comes back is sooner there, and smaller.
"""

import asyncio
import contextlib
import os
import resource
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop

from mvm_ci.adapters.service_manager import take_supervisor
from mvm_ci.config.processes import ControlPlaneConfig, DevConfig, EngineConfig, WorkerConfig
from mvm_ci.wiring.saying import warn_of_plain_http
from mvm_ci.wiring.stopping import Stop

OPEN_FILES: Final = 16_384

Service = Callable[[Stop], Awaitable[None]]
"""Runs until it is asked to stop, then ends in good order; cancelled, it ends at once."""


def run_control_plane(config: ControlPlaneConfig) -> None:
    """Runs a control plane until a signal ends it."""
    from mvm_ci.wiring.control_plane import serve_control_plane

    supervisor = take_supervisor(os.environ)
    warn_of_plain_http(config.bind)
    allow_open_files()
    run_service(lambda stop: serve_control_plane(config, stop, supervisor))


def run_worker(config: WorkerConfig) -> None:
    """Runs a worker until a signal, or the control plane, ends it."""
    from mvm_ci.wiring.worker import serve_worker

    supervisor = take_supervisor(os.environ)
    allow_open_files()
    run_service(lambda stop: serve_worker(config, stop, supervisor))


def run_engine(config: EngineConfig) -> None:
    """Runs an engine until a signal, or the control plane, ends it."""
    from mvm_ci.wiring.engine import serve_engine

    supervisor = take_supervisor(os.environ)
    allow_open_files()
    run_service(lambda stop: serve_engine(config, stop, supervisor))


def run_dev(config: DevConfig) -> None:
    """Runs both in one process until a signal ends them."""
    from mvm_ci.wiring.dev import serve_dev

    warn_of_plain_http(config.bind)
    allow_open_files()
    run_service(lambda stop: serve_dev(config, stop))


def allow_open_files() -> None:
    """As many as the system lets this process have, up to ``OPEN_FILES``: a caller of the API holds one, a
    guest's request another.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def run_service(service: Service) -> None:
    """The first SIGTERM or SIGINT asks ``service`` to end, the second makes it end at once."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_stopped(service))


async def _until_stopped(service: Service) -> None:
    task = asyncio.ensure_future(_begin(service))
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _begin(service: Service) -> None:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a service runs in a task")
    stop = Stop(task)
    stop.listen()
    await service(stop)
