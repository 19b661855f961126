"""A set-up that is wrong: each process says what, where and what to do, and goes on once it is mended."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import iroh
import pytest

from mvm_ci.testing.loopback import serving
from tests.e2e.bad_setup import Setup, built, ended, setup

__all__ = ["built", "setup"]  # fixtures, found here by their names

pytestmark = pytest.mark.timeout(120)
PEERS = pytest.mark.parametrize("kind", ["worker", "engine"])
FOREIGN = "mvm_join_" + "a" * 43


@contextlib.contextmanager
def taken(kind: socket.SocketKind) -> Iterator[str]:
    """An address at which somebody else listens, who says nothing."""
    with socket.socket(type=kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            other.listen()
        yield f"127.0.0.1:{other.getsockname()[1]}"


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


# ---------------------------------------------------------------------- tickets and join tokens


@PEERS
def test_no_ticket(setup: Setup, kind: str) -> None:
    process = setup.cluster.start(kind, "--state-dir", str(setup.directory / "x"))
    ended(process, 2, "no ticket", "--ticket-file", "CONTROL_PLANE_TICKET", "mvm-ci control-plane")


@PEERS
@pytest.mark.parametrize("given", ["nonsense", "endpoint" + "a" * 40])
def test_a_ticket_that_is_none(setup: Setup, kind: str, given: str) -> None:
    process = setup.cluster.start(
        kind,
        *("--ticket", given, "--state-dir", str(setup.directory / "x"), "--p2p-bind", "127.0.0.1:0"),
        *(("--bind", "127.0.0.1:0") if kind == "engine" else ()),
    )
    ended(process, 2, "not an endpoint ticket", given[:20], "mvm-ci control-plane")


def test_a_ticket_file_that_is_missing_wrong_stale_and_mended(setup: Setup) -> None:
    """All in one process, which is never restarted: an engine's, with a worker that waits for it, is the
    same code.
    """
    plane = setup.plane()
    right = setup.cluster.ticket.read_text()
    ticket = setup.directory / "given-ticket"
    worker = setup.peer("worker", "one", "--ticket-file", str(ticket), environ=setup.token())
    job = setup.submit("once")
    setup.says(worker, "not_connected", "cannot be read", str(ticket), "read again for each dial")
    ticket.write_text("nonsense\n")
    setup.says(worker, "not_connected", str(ticket), "not an endpoint ticket", "'nonsense'", "take the one")
    other = setup.cluster.start(
        "control-plane",
        *(
            "--bind",
            "127.0.0.1:0",
            "--p2p-bind",
            "127.0.0.1:0",
            "--state-dir",
            str(setup.directory / "other"),
        ),
    )
    stale = other.line("ticket: ")
    assert other.end() == 0
    moved = iroh.EndpointAddr(_address(stale).id(), None, _address(right).direct_addresses())
    ticket.write_text(str(iroh.EndpointTicket.from_addr(moved)))
    setup.says(worker, "not_connected", "another key than the ticket names", "take the ticket of")
    ticket.write_text(stale + "\n")
    setup.says(worker, "not_connected", "nobody answered at 127.0.0.1:", "running", "UDP")
    ticket.write_text(right)
    setup.completes(job)
    setup.alive(plane, worker)


def _address(ticket: str) -> iroh.EndpointAddr:
    return iroh.EndpointTicket.from_string(ticket.strip()).endpoint_addr()


@PEERS
def test_the_ticket_of_another_control_plane(setup: Setup, kind: str) -> None:
    setup.plane()
    process = setup.peer(kind, "one", *_bind(kind), environ={"MVM_CI_JOIN_TOKEN": FOREIGN})
    ended(process, 4, "join token is not known here", "ask for a new one")
    assert FOREIGN not in process.stderr


@PEERS
def test_join_tokens_that_are_used_up_and_expired(setup: Setup, kind: str) -> None:
    setup.plane()
    used = setup.token("--uses", "1")
    first = setup.peer("worker", "first", environ=used)
    setup.cluster.connected("first", first)
    ended(setup.peer(kind, "second", *_bind(kind), environ=used), 4, "join token", "used up", "new one")
    expired = setup.token("--ttl", "1s")
    time.sleep(1.1)
    ended(setup.peer(kind, "third", *_bind(kind), environ=expired), 4, "join token", "expired", "new one")
    # The one that has joined does not need it any more.
    first.end()
    setup.cluster.connected("first", setup.peer("worker", "first", environ=used))


@PEERS
def test_no_join_token(setup: Setup, kind: str) -> None:
    setup.plane()
    ended(setup.peer(kind, "one", *_bind(kind), environ={}), 4, "unknown here", "join token")


def _bind(kind: str) -> tuple[str, ...]:
    return ("--bind", "127.0.0.1:0") if kind == "engine" else ()


# ---------------------------------------------------------------------- ports and directories


def test_ports_that_are_taken(setup: Setup) -> None:
    setup.plane()
    with taken(socket.SOCK_STREAM) as tcp, taken(socket.SOCK_DGRAM) as udp:
        busy = setup.peer("engine", "one", "--bind", tcp, environ=setup.token())
        ended(busy, 2, "the engine's API cannot listen on", tcp, "in use", "choose another port")
        embedded = ("--engine", "embedded", "--engine-bind", tcp, "--bind", "127.0.0.1:0")
        fresh = ("--state-dir", str(setup.directory / "fresh"), "--p2p-bind", "127.0.0.1:0")
        plane = setup.cluster.start("control-plane", *embedded, *fresh)
        ended(plane, 2, "the engine's API cannot listen on", tcp, "choose another port")
        for kind in ("worker", "engine"):
            deaf = setup.peer(kind, f"deaf-{kind}", *_bind(kind), "--p2p-bind", udp, environ=setup.token())
            ended(deaf, 2, "UDP port", udp, "in use", "choose another port")
    # The same directory, now that the port is free.
    assert setup.peer("engine", "one", *_bind("engine"), environ=setup.token()).line("engine: ")


def test_two_processes_with_one_state_directory(setup: Setup) -> None:
    plane = setup.plane(option=4)
    shared = str(setup.directory / "control-plane" / "engine")
    second = setup.peer("engine", "one", *_bind("engine"), "--state-dir", shared, environ=setup.token())
    ended(second, 2, shared, f"in use by process {plane.popen.pid}", "directory of its own")
    first = setup.cluster.worker("first")
    follower = setup.peer("worker", "first", "--engine", "p2p", environ={"MVM_CI_JOIN_TOKEN": "unused"})
    ended(follower, 2, f"in use by process {first.popen.pid}", "directory of its own")
    setup.alive(plane, first)


@PEERS
@pytest.mark.parametrize("place", ["/proc/self/state", "file/state"])
def test_a_state_directory_that_cannot_be_written(setup: Setup, kind: str, place: str) -> None:
    """Nobody makes directories in ``/proc``, root neither: the test is the same for every user."""
    (setup.directory / "file").write_text("")
    state = str(setup.directory / place)
    process = setup.cluster.start(kind, "--ticket", "x", "--state-dir", state)
    ended(process, 2, "the state directory", state, "cannot be used")


# ---------------------------------------------------------------------- the engine's address


def test_an_engine_s_address_without_a_token(setup: Setup) -> None:
    process = setup.peer("worker", "one", "--engine", "http://127.0.0.1:9", environ={})
    ended(process, 2, "http://127.0.0.1:9", "wants a token", "--engine-token-file", "engine-token")


@pytest.mark.parametrize("content", ["", "two\nlines\n"])
@pytest.mark.parametrize("kind", ["engine", "control-plane"])
def test_an_engine_whose_own_token_file_is_no_token(setup: Setup, kind: str, content: str) -> None:
    setup.plane()
    file = setup.directory / "served-token"
    file.write_text(content)
    served = ("--engine-token-file", str(file))
    if kind == "engine":
        process = setup.peer("engine", "one", "--bind", "127.0.0.1:0", *served, environ=setup.token())
    else:
        state = ("--state-dir", str(setup.directory / "fresh"), "--p2p-bind", "127.0.0.1:0")
        embedded = ("--bind", "127.0.0.1:0", "--engine", "embedded")
        process = setup.cluster.start("control-plane", *state, *embedded, *served)
    ended(process, 2, "--engine-token-file", str(file))
    assert "lines" not in process.stderr.replace("does not hold one line", "")


def test_an_engine_whose_own_token_file_is_not_there_makes_it(setup: Setup) -> None:
    setup.plane()
    file = setup.directory / "shared" / "engine-token"
    served = ("--engine-token-file", str(file))
    engine = setup.peer("engine", "one", "--bind", "127.0.0.1:0", *served, environ=setup.token())
    url = engine.line("engine: ")
    assert file.stat().st_mode & 0o777 == 0o600
    worker = setup.peer("worker", "two", "--engine", url, *served, environ=setup.token())
    setup.says(worker, "engine_reached")


def test_p2p_at_a_control_plane_without_an_engine(setup: Setup) -> None:
    plane = setup.plane()
    worker = setup.peer("worker", "one", "--engine", "p2p", environ=setup.token())
    setup.says(worker, "engine_not_reached", "there is no engine here", "--engine embedded")
    job = setup.submit("once")
    assert plane.end() == 0
    plane = setup.plane(option=2)
    setup.completes(job)
    setup.alive(plane, worker)
    assert worker.stderr.count("there is no engine here") == 1, worker.stderr


@contextlib.contextmanager
def _web_server() -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Files)) as address:
        yield address


@contextlib.contextmanager
def _mute() -> Iterator[str]:
    with taken(socket.SOCK_STREAM) as address:
        yield address


@contextlib.contextmanager
def _nobody() -> Iterator[str]:
    with taken(socket.SOCK_STREAM) as address:
        pass
    yield address


@pytest.mark.parametrize(
    ("elsewhere", "words"),
    [
        (_web_server, ("no engine of ours", "--engine", "status 404")),
        (_mute, ("no answer within 5 s", "is it the engine")),
        (_nobody, ("nobody listens there", "start the engine")),
    ],
)
def test_an_address_that_leads_to_something_else_until_the_engine_is_there(
    setup: Setup, elsewhere: Callable[[], contextlib.AbstractContextManager[str]], words: tuple[str, ...]
) -> None:
    setup.plane(option=3)
    token = setup.directory / "engine-token"
    token.write_text("one-token\n")
    reach = ("--engine-token-file", str(token))
    with elsewhere() as address:
        worker = setup.peer("worker", "one", "--engine", f"http://{address}", *reach, environ=setup.token())
        job = setup.submit("once")
        setup.says(worker, "engine_not_reached", address, *words)
    engine = setup.peer("engine", "engine", "--bind", address, *reach, environ=setup.token())
    setup.completes(job)
    setup.alive(worker, engine)
    assert worker.stderr.count("engine_not_reached") <= 2, worker.stderr


def test_the_address_of_the_control_plane_s_api(setup: Setup) -> None:
    setup.plane()
    (setup.directory / "token").write_text("x" * 43)
    reach = ("--engine", setup.api, "--engine-token-file", str(setup.directory / "token"))
    worker = setup.peer("worker", "one", *reach, environ=setup.token())
    setup.says(worker, "engine_not_reached", setup.api, "no engine of ours", "'mvm-ci engine' prints")


@pytest.mark.parametrize("option", [3, 4])
def test_an_engine_s_token_that_is_missing_empty_wrong_and_mended(setup: Setup, option: int) -> None:
    plane = setup.plane(option=option)
    if option == 3:
        setup.cluster.engine("--allow-host", "127.0.0.1:*", "--allow-network", "127.0.0.0/8")
    right = setup.cluster.engine_token.read_text()
    given: Path = setup.directory / "given-token"
    reach = ("--engine", setup.cluster.engine_url, "--engine-token-file", str(given))
    worker = setup.peer("worker", "one", *reach, environ=setup.token())
    job = setup.submit("once")
    setup.says(worker, "engine_not_reached", "--engine-token-file", "cannot read", str(given))
    given.write_text("")
    setup.says(worker, "engine_not_reached", "--engine-token-file", str(given), "does not hold one line")
    given.write_text("not-the-right-one\n")
    setup.says(worker, "engine_refuses_us", "token is not this engine's", "--engine-token-file")
    given.write_text(right)
    setup.completes(job)
    setup.alive(plane, worker)
    assert right.strip() not in worker.stderr + plane.stderr
    assert "not-the-right-one" not in worker.stderr + plane.stderr
