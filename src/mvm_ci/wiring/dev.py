"""A control plane and a worker in one process, on loopback, to try things."""

import asyncio
from pathlib import Path
from typing import Final

from mvm_ci.adapters.system import SystemClock
from mvm_ci.config.credentials import Credentials, read_credentials, write_credentials
from mvm_ci.config.parsers import Address
from mvm_ci.config.processes import DevConfig, PeerConfig
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.wiring.control_plane import (
    RunningControlPlane,
    control_plane_settings,
    opened_control_plane,
)
from mvm_ci.wiring.join_token import join_token
from mvm_ci.wiring.network import make_transport
from mvm_ci.wiring.saying import say
from mvm_ci.wiring.stopping import Stop
from mvm_ci.wiring.worker import make_worker, run_worker

_LOOPBACK: Final = PeerConfig(bind=Address("127.0.0.1", 0))
_LEASE_S: Final = 15.0
_GRACE_S: Final = 2.0
_NAME: Final = "dev"


async def serve_dev(config: DevConfig, stop: Stop) -> None:
    """Serves until it is asked to stop. Raises ``Misconfigured`` or ``Unavailable`` if it cannot."""
    state = config.state_dir
    settings = control_plane_settings(config.bind, lease_s=_LEASE_S)
    opening = opened_control_plane(state / "control-plane", _LOOPBACK, settings)
    async with opening as running:
        worker_settings = PeerSettings(
            state_dir=state / "worker",
            name=_NAME,
            ticket=running.ticket,
            join_token=await join_token(running.registry, "dev"),
            bind=str(_LOOPBACK.bind),
            grace_s=_GRACE_S,
        )
        worker = make_worker(worker_settings, config.guests, make_transport(_LOOPBACK))
        credentials = _write_credentials(config, running)
        working = asyncio.create_task(run_worker(worker, stop), name="worker")
        announcing = asyncio.create_task(_announce(running, credentials, config), name="announce")
        failing = asyncio.create_task(running.plane.failed(), name="control-plane-failed")
        tasks = {announcing, failing, working}
        try:
            waiting = set(tasks)
            while working in waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await task  # announcing, too, may have failed: nobody reads our output
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _write_credentials(config: DevConfig, running: RunningControlPlane) -> Path:
    """Writes where the command line looks, unless something else is there, or it looks elsewhere."""
    own = config.state_dir / "credentials.json"
    made = Credentials(running.url, running.token)
    write_credentials(own, made)
    if config.profile is not None:
        return own
    try:
        there = read_credentials(config.credentials)
    except Misconfigured:
        return own
    if there is not None and there.token != running.token:
        return own
    write_credentials(config.credentials, made)
    return config.credentials


async def _announce(running: RunningControlPlane, credentials: Path, config: DevConfig) -> None:
    """Says how to go on, once the worker is connected."""
    say(f"api: {running.url}")
    clock = SystemClock()
    while not any(worker.session_open for worker in await running.registry.workers()):
        await clock.sleep(50)
    if credentials != config.credentials:
        elsewhere = f"{config.credentials} is for another control plane"
        if config.profile is not None:
            elsewhere = f"the profile {config.profile} is in use"
        say(f"{elsewhere}. In the terminal from which you work:")
        say(f"    export MVM_CI_CREDENTIALS={credentials}")
    say("ready: try, in another terminal,  mvm-ci run job.py --input '{}'")
