"""What the service manager is told, on a real socket; and that a process that hangs falls silent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from structlog.testing import capture_logs

from mvm_ci.adapters.service_manager import ServiceManager, take_supervisor
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.ports.supervisor import Progress, Supervisor, Unsupervised

OTHER = {"PATH": "/bin", "MVM_CI_SLOTS": "2"}
OFTEN = "40000"
"""Microseconds: a ping each 20 ms."""


class Listener:
    """Stands for systemd."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    async def heard(self) -> dict[str, str]:
        """The next datagram."""
        text = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 4096), 30)
        return dict(line.split("=", 1) for line in text.decode().splitlines())

    async def until(self, name: str) -> dict[str, str]:
        """The next datagram with this field."""
        while True:
            fields = await self.heard()
            if name in fields:
                return fields

    def rest(self) -> list[dict[str, str]]:
        """What is there now."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                text = self.socket.recv(4096).decode()
                found.append(dict(line.split("=", 1) for line in text.splitlines()))
        return found


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@mvm-ci-{secrets.token_hex(8)}"
    made = Listener(address)
    yield made
    made.socket.close()


@pytest.fixture
def not_blocking() -> Iterator[None]:
    with blockbuster_ctx("mvm_ci"):
        yield


@contextlib.asynccontextmanager
async def following(supervisor: Supervisor, progress: Progress) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(supervisor.follow(progress))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def well() -> str:
    return "well"


async def test_a_life(listener: Listener, not_blocking: None) -> None:
    environ = {**OTHER, "NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": OFTEN}
    supervisor = take_supervisor(environ)
    assert environ == OTHER
    async with following(supervisor, well):
        first = await listener.heard()
        # A start may take as long as it gets on.
        assert first == {"EXTEND_TIMEOUT_USEC": "60000", "WATCHDOG": "1", "STATUS": "well"}
        supervisor.ready("serving\n 3 workers")
        ready = await listener.until("READY")
        assert ready == {"READY": "1", "STATUS": "serving 3 workers"}
        for _ in range(3):
            ping = await listener.until("WATCHDOG")
            assert "EXTEND_TIMEOUT_USEC" not in ping
        supervisor.stopping("ending", 52.5)
        stopping = await listener.until("STOPPING")
        assert stopping == {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "52500000", "STATUS": "ending"}
        # Its end may take long, too, and is no reason to kill it.
        assert "EXTEND_TIMEOUT_USEC" not in await listener.until("WATCHDOG")


async def test_a_status_is_sent_when_it_changes(listener: Listener) -> None:
    supervisor = ServiceManager(listener.address, 0.01, watched=True)
    words = iter(["one", "one", "two", "two"])

    async def says() -> str:
        return next(words, "three")

    async with following(supervisor, says):
        heard = [await listener.heard() for _ in range(6)]
    assert [fields.get("STATUS") for fields in heard] == ["one", None, "two", None, "three", None]


async def test_one_that_hangs_is_silent(listener: Listener) -> None:
    supervisor = take_supervisor({"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": OFTEN})
    goes_on = asyncio.Event()
    goes_on.set()

    async def progress() -> str:
        await goes_on.wait()
        return "well"

    async with following(supervisor, progress):
        await listener.until("WATCHDOG")
        goes_on.clear()
        await asyncio.sleep(0.05)  # one may be on its way
        listener.rest()
        await asyncio.sleep(0.3)
        assert listener.rest() == []
        goes_on.set()
        await listener.until("WATCHDOG")


async def test_one_whose_event_loop_stands_still_is_silent(listener: Listener) -> None:
    supervisor = take_supervisor({"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": OFTEN})
    async with following(supervisor, well):
        await listener.until("WATCHDOG")
        listener.rest()
        with contextlib.closing(socket.socket()) as waits:
            waits.bind(("127.0.0.1", 0))
            waits.listen()
            waits.settimeout(0.3)
            with pytest.raises(TimeoutError):
                waits.accept()  # blocks
        assert listener.rest() == []
        await listener.until("WATCHDOG")


async def test_a_bug_in_the_progress_is_shown_and_ends_the_pings(listener: Listener) -> None:
    async def broken() -> str:
        raise RuntimeError("a bug")

    with capture_logs() as logs:
        async with following(ServiceManager(listener.address, 0.01, watched=True), broken) as task:
            with pytest.raises(RuntimeError, match="a bug"):
                await task
    assert [entry["event"] for entry in logs] == ["progress_cannot_be_told"]
    assert listener.rest() == []


@pytest.mark.parametrize(
    ("more", "watched"),
    [
        ({}, False),
        ({"WATCHDOG_USEC": OFTEN}, True),
        ({"WATCHDOG_USEC": OFTEN, "WATCHDOG_PID": str(os.getpid())}, True),
        ({"WATCHDOG_USEC": OFTEN, "WATCHDOG_PID": str(os.getppid())}, False),
        ({"WATCHDOG_USEC": "none", "WATCHDOG_PID": str(os.getppid())}, False),
    ],
)
async def test_the_watchdog_may_be_off_or_for_another_process(
    listener: Listener, more: dict[str, str], *, watched: bool
) -> None:
    environ = {**OTHER, "NOTIFY_SOCKET": listener.address, **more}
    async with following(take_supervisor(environ), well):
        assert ("WATCHDOG" in await listener.heard()) is watched
    assert environ == OTHER


async def test_without_a_service_manager_nothing_is_asked() -> None:
    environ = {**OTHER, "WATCHDOG_USEC": OFTEN, "WATCHDOG_PID": "1"}
    supervisor = take_supervisor(environ)
    assert environ == OTHER
    assert isinstance(supervisor, Unsupervised)

    async def progress() -> str:
        raise AssertionError

    supervisor.ready("serving")
    supervisor.stopping("ending", 1)
    async with following(supervisor, progress) as task:
        await asyncio.sleep(0.01)
        assert not task.done()


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"NOTIFY_SOCKET": "notify"}, "NOTIFY_SOCKET"),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, "NOTIFY_SOCKET"),
        ({"NOTIFY_SOCKET": "@"}, "NOTIFY_SOCKET"),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30s"}, "WATCHDOG_USEC"),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "-1"}, "WATCHDOG_USEC"),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "0"}, "WATCHDOG_USEC"),
    ],
)
def test_variables_that_make_no_sense(environ: dict[str, str], word: str) -> None:
    with pytest.raises(Misconfigured, match=word):
        take_supervisor(environ)


async def test_nobody_listens(tmp_path: Path) -> None:
    with capture_logs() as logs:
        ServiceManager(str(tmp_path / "gone"), 1, watched=True).ready("serving")
    assert [entry["event"] for entry in logs] == ["service_manager_not_told"]


async def test_a_full_queue_delays_what_counts_and_blocks_nothing(
    listener: Listener, not_blocking: None
) -> None:
    supervisor = ServiceManager(listener.address, 0.001, watched=True)
    crowd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    address = "\0" + listener.address[1:] if listener.address.startswith("@") else listener.address
    with contextlib.closing(crowd), contextlib.suppress(BlockingIOError):
        while True:
            crowd.sendto(b"X=1", address)
    async with following(supervisor, well):
        supervisor.ready("serving")
        supervisor.stopping("ending", 1)
        await asyncio.sleep(0.05)
        assert all(fields == {"X": "1"} for fields in listener.rest())
        told = await listener.until("READY")
    assert told["STOPPING"] == "1"
    assert told["STATUS"] in {"ending", "well"}
