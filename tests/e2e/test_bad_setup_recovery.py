"""What goes wrong later, or comes late: engines, certificates, networks. Work goes on without a restart."""

from __future__ import annotations

import datetime as dt
import ipaddress
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import iroh
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mvm_ci.testing.cluster import Process
from tests.e2e.bad_setup import LEASE, Setup, TcpForwarder, built, ended, setup
from tests.faults.conftest import NETWORK
from tests.faults.forwarder import forwarding
from tests.faults.test_connections import WALLED

__all__ = ["built", "setup"]  # fixtures, found here by their names

pytestmark = pytest.mark.timeout(120)
LONGER_S: Final = 2 * float(LEASE.removesuffix("s"))
"""Than a lease."""

# ---------------------------------------------------------------------- the engine is away


@pytest.fixture
def engine_token(setup: Setup) -> Path:
    file = setup.directory / "engine-token"
    file.write_text("a-token\n")
    return file


def follower(setup: Setup, url: str, token: Path, *more: str) -> Process:
    reach = ("--engine", url, "--engine-token-file", str(token))
    return setup.peer("worker", "one", *reach, *more, environ=setup.token())


def test_an_engine_that_dies_and_comes_back(setup: Setup) -> None:
    setup.plane(option=3)
    first = setup.cluster.engine(*NETWORK)
    worker = follower(setup, setup.cluster.engine_url, setup.cluster.engine_token)
    job = setup.submit("once", ("post", f"{setup.web.url}/first"), ("get", f"{setup.web.url}/gate"))
    setup.web.at_the_gate()
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    setup.says(worker, "engine_not_reached", setup.cluster.engine_url)
    meanwhile = setup.submit("meanwhile")
    setup.web.gate.set()
    again = setup.cluster.engine(*NETWORK)
    setup.completes(job, meanwhile)
    setup.alive(worker, again)


@pytest.mark.parametrize("option", [2, 4])
def test_a_control_plane_that_dies_with_its_engine_and_comes_back(setup: Setup, option: int) -> None:
    first = setup.plane(option=option)
    if option == 2:
        worker = setup.peer("worker", "one", "--engine", "p2p", environ=setup.token())
    else:
        worker = follower(setup, setup.cluster.engine_url, setup.cluster.engine_token)
    job = setup.submit("once", ("post", f"{setup.web.url}/first"), ("get", f"{setup.web.url}/gate"))
    setup.web.at_the_gate()
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    setup.says(worker, "connection_lost")
    setup.web.gate.set()
    again = setup.plane(option=option)
    setup.completes(job, setup.submit("after"))
    setup.alive(worker, again)


@pytest.mark.parametrize("option", [1, 2, 4])
def test_a_worker_that_starts_while_the_control_plane_is_down(setup: Setup, option: int) -> None:
    first = setup.plane(option=option)
    environ, url = setup.token(), setup.cluster.engine_url
    reach = {
        1: (),
        2: ("--engine", "p2p"),
        4: ("--engine", url, "--engine-token-file", str(setup.cluster.engine_token)),
    }
    job = setup.submit("once")
    assert first.end() == 0
    worker = setup.peer("worker", "one", *reach[option], environ=environ)
    setup.says(worker, "not_connected", "nobody answered at 127.0.0.1:", "running", "UDP")
    again = setup.plane(option=option)
    setup.completes(job)
    setup.alive(worker, again)


# ---------------------------------------------------------------------- certificates


class Authority:
    """Signs certificates for a test; its own stands in ``file``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, str(directory)[-60:])])
        self.file = directory / "authority.pem"
        signed = self._signed(self._name, self._key, 1, x509.BasicConstraints(ca=True, path_length=0))
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def certificate(self, address: str, *, days: int = 1) -> Path:
        """A file with key and certificate of an IP address, for so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        signed = self._signed(x509.Name([]), key, days, names)
        file = self._directory / f"{address}-{days}.pem"
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(text + signed.public_bytes(serialization.Encoding.PEM))
        return file

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, days: int, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateBuilder(self._name, name, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(now - dt.timedelta(days=9))
        made = made.not_valid_after(now + dt.timedelta(days=days))
        return made.add_extension(extension, critical=True).sign(self._key, hashes.SHA256())


def test_certificates_that_are_wrong_until_the_right_one_is_there(
    setup: Setup, tmp_path: Path, engine_token: Path
) -> None:
    (tmp_path / "foreign").mkdir()
    ours, foreign = Authority(tmp_path), Authority(tmp_path / "foreign")
    setup.plane(option=3)
    wrong = {
        ("certificate verify failed", "local issuer", "--engine-ca-file"): foreign.certificate("127.0.0.1"),
        ("certificate has expired",): ours.certificate("127.0.0.1", days=-1),
        ("IP address mismatch", "127.0.0.1", "--engine the name"): ours.certificate("127.0.0.2"),
    }
    environ, address = setup.token(), "127.0.0.1:0"
    worker: Process | None = None
    jobs: list[str] = []
    for number, (words, file) in enumerate([*wrong.items(), ((), ours.certificate("127.0.0.1"))]):
        served = ("--engine-tls-cert-file", str(file), "--engine-token-file", str(engine_token))
        engine = setup.peer("engine", "engine", "--bind", address, *served, environ=environ)
        url = engine.line("engine: ")
        address = url.removeprefix("https://")
        if worker is None:
            worker = follower(setup, url, engine_token, "--engine-ca-file", str(ours.file))
        if words:
            setup.says(worker, "engine_not_reached", url, *words)
            jobs.append(setup.submit(f"while-{number}"))
            assert engine.end() == 0
    assert worker is not None
    setup.completes(*jobs)
    setup.alive(worker)


def test_what_is_no_certificate(setup: Setup, engine_token: Path) -> None:
    setup.plane()
    served = ("--bind", "127.0.0.1:0", "--engine-tls-cert-file", str(engine_token))
    ended(
        setup.peer("engine", "one", *served, environ=setup.token()),
        *(2, "--engine-tls-cert-file", str(engine_token)),
    )
    trusting = ("--engine-ca-file", str(engine_token))
    ended(follower(setup, "https://127.0.0.1:9", engine_token, *trusting), 2, "--engine-ca-file")


@pytest.mark.parametrize("tls", [False, True], ids=["https-to-plain", "http-to-tls"])
def test_the_wrong_scheme(setup: Setup, tmp_path: Path, engine_token: Path, *, tls: bool) -> None:
    setup.plane()
    served: tuple[str, ...] = ("--bind", "127.0.0.1:0", "--engine-token-file", str(engine_token))
    if tls:
        served = (*served, "--engine-tls-cert-file", str(Authority(tmp_path).certificate("127.0.0.1")))
    url = setup.peer("engine", "engine", *served, environ=setup.token()).line("engine: ")
    scheme, _, rest = url.partition("://")
    other = {"http": "https", "https": "http"}[scheme]
    worker = follower(setup, f"{other}://{rest}", engine_token)
    setup.says(worker, "engine_not_reached", rest, f"{scheme}://")


# ---------------------------------------------------------------------- the network is cut


def under_way(setup: Setup) -> list[str]:
    """One job in the middle of a request that may be repeated, one in the middle of one that may not be."""
    url = setup.web.url
    jobs = [
        setup.submit("once", ("post", f"{url}/first"), ("get", f"{url}/gate")),
        setup.submit("other", ("post", f"{url}/second"), ("post", f"{url}/gate/post")),
    ]
    for _ in jobs:
        setup.web.at_the_gate()
    return jobs


@pytest.mark.parametrize("option", [3, 4])
def test_an_engine_cut_off_from_its_worker_for_longer_than_a_lease(setup: Setup, option: int) -> None:
    plane = setup.plane(option=option)
    engine = setup.cluster.engine(*NETWORK) if option == 3 else plane
    with closing(TcpForwarder(setup.cluster.engine_url.removeprefix("http://"))) as between:
        worker = follower(setup, f"http://{between.address}", setup.cluster.engine_token)
        jobs = under_way(setup)
        between.cut()
        setup.says(worker, "engine_not_reached", "says nothing any more")
        time.sleep(LONGER_S)
        jobs.append(setup.submit("meanwhile"))
        setup.web.gate.set()
        between.heal()
        setup.completes(*jobs)
    setup.alive(plane, engine, worker)


@pytest.mark.parametrize("cut_off", ["worker", "by-p2p", "follower", "engine"])
def test_a_peer_cut_off_from_the_control_plane_for_longer_than_a_lease(setup: Setup, cut_off: str) -> None:
    plane = setup.plane(option=2 if cut_off == "by-p2p" else 3)
    known = iroh.EndpointTicket.from_string(setup.cluster.ticket.read_text().strip()).endpoint_addr()
    (address,) = [one for one in known.direct_addresses() if one.startswith("127.0.0.1:")]
    with forwarding(("127.0.0.1", int(address.rpartition(":")[2]))) as between:
        host, port = between.address
        through = iroh.EndpointAddr(known.id(), None, [f"{host}:{port}"])
        ticket = setup.directory / "ticket-through"
        ticket.write_text(str(iroh.EndpointTicket.from_addr(through)))

        def peer(kind: str, name: str, *more: str) -> Process:
            if cut_off != name:
                return setup.peer(kind, name, *more, environ=setup.token())
            walled = {"program": (str(WALLED), str(port))}
            way = ("--ticket-file", str(ticket))
            return setup.peer(kind, name, *more, *way, environ=setup.token(), **walled)

        if cut_off == "worker":
            there = [peer("worker", "worker")]
        elif cut_off == "by-p2p":
            there = [peer("worker", "by-p2p", "--engine", "p2p")]
        else:
            there = [peer("engine", "engine", "--bind", "127.0.0.1:0")]
            url = there[0].line("engine: ")
            token = str(setup.directory / "engine" / "engine-token")
            there.append(peer("worker", "follower", "--engine", url, "--engine-token-file", token))
        jobs = under_way(setup)
        between.cut()
        lost = next(one for one in there if one.name == cut_off)
        setup.says(lost, "connection_lost")
        time.sleep(LONGER_S)
        jobs.append(setup.submit("meanwhile"))
        setup.web.gate.set()
        between.heal()
        setup.completes(*jobs)
    setup.alive(plane, *there)
