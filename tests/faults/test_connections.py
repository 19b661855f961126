"""Connections cut, slow, half-open and flapping, over real iroh: guests go on, no effect happens twice."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import iroh
import pytest

from mvm_ci.testing.cluster import Process
from tests.faults.conftest import NETWORK, Rig, Web
from tests.faults.forwarder import Forwarder, forwarding

WALLED: Final = Path(__file__).with_name("walled.py")


@dataclass
class Wire:
    """A worker whose only way to the control plane is a forwarder."""

    rig: Rig
    forwarder: Forwarder
    workers: list[Process] = field(default_factory=list)

    def worker(self, name: str, *more: str) -> Process:
        """A worker that is connected through the forwarder."""
        token = self.rig.ask("POST", "/v1/join-tokens", {})["token"]
        process = self.rig.cluster.start(
            "worker",
            *("--name", name, "--slots", "1", "--state-dir", str(self.rig.cluster.directory / name)),
            *("--ticket", self.ticket, "--p2p-bind", "127.0.0.1:0", "--grace", "2s", *NETWORK, *more),
            environ={"MVM_CI_JOIN_TOKEN": token},
            name=name,
            program=(str(WALLED), str(self.forwarder.address[1])),
        )
        self.workers.append(process)
        self.rig.cluster.until(lambda: "session_open" in process.stderr, f"{name} is connected")
        return process

    @property
    def ticket(self) -> str:
        """The control plane's ticket with the forwarder's address in place of its own."""
        host, port = self.forwarder.address
        address = iroh.EndpointAddr(_plane(self.rig).id(), None, [f"{host}:{port}"])
        return str(iroh.EndpointTicket.from_addr(address))


def _plane(rig: Rig) -> iroh.EndpointAddr:
    return iroh.EndpointTicket.from_string(rig.cluster.ticket.read_text().strip()).endpoint_addr()


def _lost(process: Process) -> bool:
    return "connection_lost" in process.stderr


def _sessions(process: Process) -> int:
    return process.stderr.count("session_open")


@pytest.fixture
def wire(rig: Rig) -> Iterator[Wire]:
    (address,) = [one for one in _plane(rig).direct_addresses() if one.startswith("127.0.0.1:")]
    with forwarding(("127.0.0.1", int(address.rpartition(":")[2]))) as forwarder:
        made = Wire(rig, forwarder)
        yield made
        for process in made.workers:
            process.end(signal.SIGKILL)  # without a network it could not say goodbye


def outcome(rig: Rig, job: str) -> tuple[str, int, int, int]:
    """State, epoch, losses and attempt of the job, once it has ended."""
    ended = rig.ended(job)
    return ended["state"], ended["epoch"], ended.get("losses", 0), ended.get("attempt", 1)


@pytest.mark.parametrize("rig", ["15s"], indirect=True)
def test_a_link_that_returns_within_the_lease_lets_the_parked_guest_go_on(
    rig: Rig, web: Web, wire: Wire
) -> None:
    worker = wire.worker("first")
    rig.worker("second")
    (job,) = rig.submit(_through_the_gate(web))
    web.at_the_gate()
    wire.forwarder.cut()
    web.gate.set()
    # It gives the connection up by itself: nobody told it of the cut.
    rig.cluster.until(lambda: _lost(worker), "the worker notices")
    assert web.posts == {"/before": 1}, "an effect left although what came before it was not durable"
    wire.forwarder.heal()
    assert outcome(rig, job) == ("completed", 1, 0, 1)
    assert web.posts == {"/before": 1, "/after": 1}


def test_a_link_that_does_not_return_within_the_lease_moves_the_job(rig: Rig, web: Web, wire: Wire) -> None:
    first = wire.worker("first")
    (job,) = rig.submit(_through_the_gate(web))
    web.at_the_gate()
    rig.worker("second")
    wire.forwarder.cut()
    web.at_the_gate()
    web.gate.set()
    assert outcome(rig, job)[:2] == ("completed", 2)
    wire.forwarder.heal()
    # Back again, it is of use, and what it had in hand is dropped.
    rig.cluster.until(lambda: _sessions(first) >= 2, "the first worker is back")
    rig.cluster.ok("worker", "drain", "second")
    (another,) = rig.submit([("post", f"{web.url}/another")])
    assert outcome(rig, another)[0] == "completed"
    assert web.posts == {"/before": 1, "/after": 1, "/another": 1}


@pytest.mark.parametrize("rig", ["9s"], indirect=True)
@pytest.mark.parametrize("way", ["out", "back"])
def test_a_half_open_connection_is_noticed_within_the_lease(rig: Rig, web: Web, wire: Wire, way: str) -> None:
    first = wire.worker("first")
    (job,) = rig.submit(_through_the_gate(web))
    web.at_the_gate()
    rig.worker("second")
    getattr(wire.forwarder, way).lose = True
    rig.cluster.until(lambda: _lost(first), "the worker notices")
    (noticed,) = [line for line in first.stderr.splitlines() if "connection_lost" in line]
    assert json.loads(noticed)["lease_valid"], noticed
    web.at_the_gate()
    web.gate.set()
    assert outcome(rig, job)[:2] == ("completed", 2)
    assert web.posts == {"/before": 1, "/after": 1}


@pytest.mark.parametrize("rig", ["15s"], indirect=True)
def test_a_slow_link_that_loses_datagrams_loses_nothing_else(rig: Rig, web: Web, wire: Wire) -> None:
    worker = wire.worker("first", "--slots", "3")
    (first,) = rig.submit([("bytes", 1)])
    assert outcome(rig, first)[0] == "completed"  # the module, tens of megabytes, is there
    wire.forwarder.slow(0.1, lose_each=30)
    jobs = rig.submit(*[_much(web, number) for number in range(3)])
    assert {outcome(rig, job) for job in jobs} == {("completed", 1, 0, 1)}
    assert web.posts == {f"/{number}/{step}": 1 for number in range(3) for step in "ab"}
    for job in jobs:
        assert len(rig.cluster.ok("job", "logs", job).splitlines()) == 40
    assert _sessions(worker) == 1


@pytest.mark.parametrize("rig", ["20s"], indirect=True)
def test_a_flapping_link_loses_and_repeats_nothing(rig: Rig, web: Web, wire: Wire) -> None:
    wire.worker("first", "--slots", "2")
    over = threading.Event()

    def flap() -> None:
        for number in itertools.count():
            if over.wait(1.0):
                return
            wire.forwarder.cut()
            over.wait(0.5)
            if number % 4 == 3:
                wire.forwarder.forget()  # as a NAT on the way does when it is restarted
            wire.forwarder.heal()

    flapping = threading.Thread(target=flap)
    flapping.start()
    try:
        ended: set[tuple[object, ...]] = set()
        submitted = 0
        # A fast machine is done with some jobs between two cuts: more of them, until there were several.
        while submitted < 30 or (wire.forwarder.cuts < 4 and submitted < 1_000):
            more = range(submitted, submitted + 30)
            submitted += len(more)
            jobs = rig.submit(*[_two_posts(web, number) for number in more])
            # What did not start at once may be given back and placed again: its epoch is not asked for.
            ended |= {
                (state, losses, attempt) for state, _, losses, attempt in (outcome(rig, job) for job in jobs)
            }
        assert wire.forwarder.cuts > 1
    finally:
        over.set()
        flapping.join(timeout=30)
    assert ended == {("completed", 0, 1)}
    assert web.posts == {f"/{number}/{step}": 1 for number in range(submitted) for step in "ab"}


def _through_the_gate(web: Web) -> Sequence[tuple[str, object]]:
    return [("post", f"{web.url}/before"), ("get", f"{web.url}/gate"), ("post", f"{web.url}/after")]


def _much(web: Web, number: int) -> Sequence[tuple[str, object]]:
    return [*_two_posts(web, number), ("bytes", 10_000), ("lines", 40)]


def _two_posts(web: Web, number: int) -> Sequence[tuple[str, object]]:
    return [("post", f"{web.url}/{number}/a"), ("bytes", 2_000), ("post", f"{web.url}/{number}/b")]


@pytest.mark.parametrize("rig", ["30s"], indirect=True)
def test_a_control_plane_that_moved_is_found_by_the_ticket_file(rig: Rig, web: Web) -> None:
    worker = rig.worker("first")
    (job,) = rig.submit(_through_the_gate(web))
    web.at_the_gate()
    assert rig.plane is not None
    before = rig.cluster.ticket.read_text()
    assert rig.plane.end() == 0, rig.plane.stderr
    (old,) = _plane(rig).direct_addresses()
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        # Its old port is somebody else's now; the key in its state is the same.
        taken.bind(("127.0.0.1", int(old.rpartition(":")[2])))
        elsewhere = f"127.0.0.1:{_free_port()}"
        rig.plane = rig.cluster.control_plane("--bind", rig.address, "--p2p-bind", elsewhere)
        assert rig.cluster.ticket.read_text() != before
        web.gate.set()
        assert outcome(rig, job) == ("completed", 1, 0, 1)
    assert web.posts == {"/before": 1, "/after": 1}
    assert _sessions(worker) == 2


def _free_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
