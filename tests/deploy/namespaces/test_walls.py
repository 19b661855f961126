"""What a worker's namespace reaches: the control plane's UDP port, and nothing else."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.deploy.namespaces.deployment import Namespaces
from tests.deploy.namespaces.lan import API_PORT, ENGINE_PORT, P2P_PORT, PLANE
from tests.deploy.network import inside
from tests.faults.conftest import Web

pytestmark = pytest.mark.timeout(240)
DNS_PORT = 53
WAIT_S = 0.5
"""What is dropped is never answered; what is let through here is answered in much less than this."""


def test_jobs_run_while_nothing_but_the_port_is_reached(
    deployment: Namespaces, modules: dict[str, str], web: Web
) -> None:
    steps = [["post", f"{web.url}/begun"], ["get", f"{web.url}/gate"], ["compute", 1000]]
    jobs = deployment.submit(modules["steps"], steps, steps)
    for _ in jobs:
        web.at_the_gate()
    lan = deployment.lan
    with listening(PLANE, DNS_PORT) as dns:
        with inside(lan.router):
            assert (tcp(PLANE, API_PORT), tcp(PLANE, ENGINE_PORT), udp(dns, DNS_PORT)) == (True,) * 3
        for name, namespace in lan.workers.items():
            with inside(namespace):
                assert not tcp(PLANE, API_PORT)
                assert not tcp(PLANE, ENGINE_PORT)
                assert not udp(dns, DNS_PORT)
            for other, home in lan.workers.items():
                if other != name:
                    assert not between(home, namespace, lan.address(other))
    web.gate.set()
    assert [deployment.result(job)[2] for job in jobs] == [499_500] * 2
    # Nor did anything of the workers themselves get further, from their start until now.
    assert lan.seen() == {(lan.address(name), PLANE, "udp", P2P_PORT) for name in lan.workers}


def between(home: str, other: str, address: str) -> bool:
    """Whether a worker, whose ``home`` and ``address`` these are, gets a datagram of another one."""
    with inside(home), listening(address, P2P_PORT) as listener, inside(other):
        return udp(listener, P2P_PORT)


def tcp(address: str, port: int) -> bool:
    """Whether a connection is accepted."""
    try:
        socket.create_connection((address, port), timeout=WAIT_S).close()
    except OSError:
        return False
    return True


def udp(listener: socket.socket, port: int) -> bool:
    """Whether a datagram from here reaches the listener."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(b"?", (listener.getsockname()[0], port))
            listener.recv(16)
        except OSError:
            return False
    return True


@contextlib.contextmanager
def listening(address: str, port: int) -> Iterator[socket.socket]:
    """A UDP socket, of the namespace where the block begins."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind((address, port))
        made.settimeout(WAIT_S)
        yield made
