"""An engine's service over HTTP: who may call it, what it takes, what it tells, and how it ends."""

import asyncio
import datetime as dt
import ipaddress
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.outcome import Completed, Released, Stopped
from mvm_ci.engine.live import MAX_GUESTS
from mvm_ci.engine.service.desk import ABOUT
from mvm_ci.wire import engine as w
from mvm_ci.wire import messages as m
from tests.integration.engine.fake_guests import script
from tests.integration.engine.fakes import ROOT
from tests.integration.engine_service.rig import (
    ONE,
    PATIENCE_S,
    TOKEN,
    TWO,
    Follower,
    Serve,
    Service,
    grant,
    services,
)

ASK = script(["http", "GET", "http://site.test/"])


@pytest.fixture
async def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")  # runners import their guests
    async with services(tmp_path) as made:
        yield made


@pytest.fixture
async def service(serve: Serve) -> Service:
    return await serve()


async def running(service: Service, follower: Follower, job: int = 1) -> None:
    """A guest that waits for the answer to a request, or for the lease that lets it leave."""
    service.web.open.clear()
    await follower.bring(grant(job))
    await service.redeemed()
    await service.assign(grant(job), input_=ASK)
    await follower.hear(w.Started, lambda event: grant(job).placed in event.placements)


# -------------------------------------------------------------------- from a grant to an end


async def test_a_grant_becomes_a_guest_and_its_end_is_told_until_it_is_seen(service: Service) -> None:
    follower = await service.follower()
    answer = await follower.bring(grant(1))
    assert answer.json() == {"engine": answer.json()["engine"], "taken": 1, "full": ""}
    assert await service.redeemed() == (grant(1),)
    await service.assign(grant(1))
    ended = await follower.hear(w.Ended)
    (item,) = ended.items
    assert (item.placed, item.outcome) == (grant(1).placed, Completed(b"[7]"))
    assert item.tail is not None
    assert (await follower.follow()).placements == (grant(1).placed,)
    assert await follower.hear(w.Ended) == ended
    await follower.order(w.Seen(ended.number))
    assert (await follower.follow()).placements == ()


async def test_a_request_of_a_guest_leaves_once_the_worker_s_lease_is_known(service: Service) -> None:
    follower = await service.follower()
    await running(service, follower)
    assert not service.web.requests
    await follower.lend(60_000)
    async with asyncio.timeout(PATIENCE_S):
        await service.web.asked.wait()
    service.web.open.set()
    (item,) = (await follower.hear(w.Ended)).items
    assert item.outcome == Completed(b"[[200, 2]]")


async def test_a_refused_grant_comes_back(service: Service) -> None:
    follower = await service.follower()
    await follower.bring(grant(1))
    await service.redeemed()
    await service.plane.send(m.Drop((grant(1).placed,)))
    (item,) = (await follower.hear(w.Ended)).items
    assert item.outcome == Released()


async def test_what_the_control_plane_does_not_keep_comes_back_and_the_rest_is_asked_for_again(
    service: Service,
) -> None:
    follower = await service.follower()
    await running(service, follower)
    await follower.bring(grant(2))
    await service.redeemed()
    await service.plane.connection.close(m.CLOSE_DONE, "a restart")
    async with asyncio.timeout(PATIENCE_S):
        service.plane = await service.session()
    (item,) = (await follower.hear(w.Ended)).items
    assert (item.placed, item.outcome) == (grant(1).placed, Released())
    assert await service.redeemed() == (grant(2),)


async def test_a_hello_names_what_runs_with_its_grants(service: Service) -> None:
    follower = await service.follower()
    await running(service, follower)
    await service.plane.connection.close(m.CLOSE_DONE, "a restart")
    async with asyncio.timeout(PATIENCE_S):
        connection = await service.control.accept()
        stream = await connection.accept()
    service.plane = type(service.plane)(connection, stream)
    hello = await service.plane.expect(m.Hello)
    assert (hello.running, hello.grants) == ((grant(1).placed,), (grant(1),))


async def test_there_is_room_for_so_many_and_then_it_says_so(service: Service) -> None:
    follower = await service.follower()
    many = [grant(job) for job in range(1, MAX_GUESTS + 2)]
    answer = await follower.bring(*many)
    assert (answer.status_code, answer.json()["taken"]) == (200, MAX_GUESTS)
    assert answer.json()["full"] == f"the engine has {MAX_GUESTS} guests, as many as its runners can have"
    answer = await follower.bring(many[-1])
    assert (answer.status_code, answer.json()["code"]) == (429, "queue-full")
    assert answer.json()["detail"].startswith(f"the engine has {MAX_GUESTS} guests")
    # What is there may be brought again.
    assert (await follower.bring(*many[:3])).json()["taken"] == 3


# -------------------------------------------------------------------- whose is what


async def test_orders_of_another_client_change_nothing(service: Service) -> None:
    follower, other = await service.follower(ONE), await service.follower(TWO)
    await running(service, follower)
    for order in (
        w.Drop((grant(1).placed,)),
        w.Stop((grant(1).placed,), cancel=True),
        w.GiveBack((grant(1).placed,), running=True),
        w.Seen(5),
        w.Lease(1, 60_000),
    ):
        await other.order(order)
    listed = (await follower.http.get("/v1/executions")).json()["executions"]
    assert listed == [
        {"job": format_job_id(JobId(1)), "epoch": 1, "client": ONE[:8], "state": "running"},
    ]
    assert not service.web.requests
    await follower.order(w.Stop((grant(1).placed,)))
    (item,) = (await follower.hear(w.Ended)).items
    assert item.outcome == Stopped()


async def test_the_newest_stream_of_a_client_is_told_and_the_one_before_ends(service: Service) -> None:
    follower = await service.follower()
    over = follower.over
    await follower.follow()
    async with asyncio.timeout(PATIENCE_S):
        await over.wait()
    await running(service, follower)


async def test_who_does_not_follow_can_place_nothing(service: Service) -> None:
    stranger = Follower(service.client(), TWO)
    for answer in (await stranger.bring(grant(1)), await stranger.call("orders", ())):
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
        assert "follow its events first" in answer.json()["detail"]


# -------------------------------------------------------------------- who may call


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN]
)
async def test_everything_but_health_is_for_holders_of_the_token(
    service: Service, header: str | None
) -> None:
    client = service.client(None)
    if header is not None:
        client.headers["authorization"] = header
    for method, path in (
        ("GET", "/metrics"),
        ("GET", "/v1/engine"),
        ("GET", "/v1/executions"),
        ("POST", "/v1/drain"),
        ("GET", f"/v1/clients/{ONE}/events"),
        ("POST", f"/v1/clients/{ONE}/executions"),
        ("POST", f"/v1/clients/{ONE}/orders"),
        ("GET", "/nothing"),
    ):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (401, "refused"), path
        assert answer.headers["www-authenticate"] == 'Bearer realm="mvm-ci engine"'
        assert TOKEN not in answer.text
    assert (await client.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    ("what", "body", "status", "says"),
    [
        ("executions", b"{", 400, "the body is not JSON"),
        ("executions", b"{}", 400, "missing required field `grants`"),
        ("executions", b'{"grants":[],"more":1}', 400, "unknown field `more`"),
        ("executions", b'{"grants":[[[1,1],"AAAA"]]}', 400, "a grant that no control plane made"),
        ("executions", b'{"grants":[[[-1,1],"%s"]]}' % (b"A" * 32), 400, "a grant that no control plane"),
        ("executions", b'{"grants":[[[1,%d],"%s"]]}' % (1 << 63, b"A" * 32), 400, "a grant that no control"),
        ("executions", b'{"grants":[[[1%s,1],"%s"]]}' % (b"0" * 30, b"A" * 32), 400, "a"),
        ("executions", msgspec.json.encode(w.Place((grant(1),) * 1_025)), 400, "at most 1024 are taken"),
        ("orders", b"[[]]", 400, "Expected `object`, got `array`"),
        ("orders", b'[{"type":"burn"}]', 400, "Invalid value 'burn'"),
        ("orders", b" " * (w.MAX_ORDERS + 1), 413, "bytes"),
        ("nothing", b"", 404, "there is no POST"),
    ],
)
async def test_what_is_wrong_is_said_and_costs_nothing(
    service: Service, what: str, body: bytes, status: int, says: str
) -> None:
    follower = await service.follower()
    answer = await follower.http.post(f"/v1/clients/{ONE}/{what}", content=body)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["detail"]
    assert (await follower.bring(grant(2))).json()["taken"] == 1
    assert await service.redeemed() == (grant(2),)


@pytest.mark.parametrize("name", ["1" * 31, "1" * 33, "G" * 32, "..%2f" + "1" * 27])
async def test_a_client_is_named_as_workers_are(service: Service, name: str) -> None:
    answer = await service.client().get(f"/v1/clients/{name}/events")
    assert answer.status_code in {400, 404}


async def test_a_peer_uses_the_engine_and_does_not_rule_it(service: Service) -> None:
    token_holder = await service.follower()
    await running(service, token_holder)
    transport = PeerCalls(service, "a")
    async with httpx.AsyncClient(transport=transport, base_url="http://engine") as client:
        assert (await client.get("/v1/engine")).status_code == 200
        for method, path in (("GET", "/v1/executions"), ("GET", "/metrics"), ("POST", "/v1/drain")):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (403, "refused")
        # Knowing a client's name is not enough.
        orders = msgspec.json.encode((w.Drop((grant(1).placed,)),))
        assert (await client.post(f"/v1/clients/{ONE}/orders", content=orders)).status_code == 404
        assert (await client.get(f"/v1/clients/{ONE}/events")).status_code == 403


class PeerCalls(httpx.AsyncBaseTransport):
    """Calls the engine on streams of a peer that was let in."""

    def __init__(self, service: Service, peer: str) -> None:
        self._service = service
        self._peer = peer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        near = await self._service.transport.bind(
            secret_key=self._peer.encode() * 32, address="127.0.0.1:0", alpns=[b"x"]
        )
        far = await self._service.transport.bind(secret_key=b"f" * 32, address="127.0.0.1:0", alpns=[b"x"])
        connection = await near.connect(far.ticket())
        accepted = await far.accept()
        stream = await connection.open()
        head = f"{request.method} {request.url.raw_path.decode()} HTTP/1.1\r\nhost: x\r\n"
        head += f"content-length: {len(request.content)}\r\nconnection: close\r\n\r\n"
        await stream.write(head.encode() + request.content)
        taken = await accepted.accept()
        serving = asyncio.ensure_future(self._service.host.serve(taken, f"peer {self._peer}"))
        answer = b""
        while piece := await stream.read():
            answer += piece
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await near.close()
        await far.close()
        status = int(answer.split(b" ", 2)[1])
        return httpx.Response(status, content=answer.partition(b"\r\n\r\n")[2])


# -------------------------------------------------------------------- what it shows


async def test_health_room_and_figures(service: Service) -> None:
    follower = await service.follower()
    await running(service, follower)
    assert (await follower.http.get("/readyz")).json() == {"status": "ready"}
    room = (await follower.http.get("/v1/engine")).json()
    assert (room["slots"], room["capacity"], room["runners"], room["guests"]) == (1, MAX_GUESTS, 1, 1)
    figures = (await follower.http.get("/metrics")).text
    named = set(re.findall(r"^# TYPE (mvm_ci_engine_\w+) ", figures, re.MULTILINE))
    assert named - {"mvm_ci_engine_refused_total"} == set(ABOUT) - {"mvm_ci_engine_refused"}
    for line in (
        'mvm_ci_engine_guests{state="running"} 1.0',
        'mvm_ci_engine_clients{lease="over"} 1.0',
        "mvm_ci_engine_connected 1.0",
        "mvm_ci_engine_runners 1.0",
        "mvm_ci_engine_refused_total 0.0",
        "mvm_ci_engine_wait_seconds_count 1.0",
        "mvm_ci_engine_journal_lag_seconds_count ",
    ):
        assert line in figures, line
    assert 'mvm_ci_engine_loop_lag_seconds_bucket{le="+Inf"}' in figures
    assert "process_resident_memory_bytes" in figures
    # For whoever has it in its own process: without that process's figures.
    assert {family.name for family in service.host.figures()} == set(ABOUT)


async def test_it_is_not_ready_without_the_control_plane(service: Service) -> None:
    follower = await service.follower()
    await service.plane.connection.close(m.CLOSE_DONE, "a restart")
    async with asyncio.timeout(PATIENCE_S):
        while (answer := await follower.http.get("/readyz")).status_code == 200:
            pass
    assert (answer.status_code, answer.json()["detail"]) == (503, "no session with the control plane")


async def test_the_page_on_metrics_names_them_all() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "metrics.md").read_text()
    for name, about in ABOUT.items():
        shown = f"{name}_total" if name == "mvm_ci_engine_refused" else name
        assert re.search(rf"^\| `{shown}` \|.*\| {re.escape(about)} \|$", page, re.MULTILINE), shown


# -------------------------------------------------------------------- how it ends


@pytest.mark.parametrize("query", ["", "?running=1"])
async def test_a_drain_takes_nothing_more_and_gives_back_what_was_asked_for(
    service: Service, query: str
) -> None:
    follower = await service.follower()
    await running(service, follower)
    assert (await follower.http.post(f"/v1/drain{query}")).json()["draining"]
    await follower.hear(w.Room, lambda room: room.draining)
    answer = await follower.bring(grant(2))
    assert (answer.status_code, answer.json()["detail"]) == (429, "the engine drains: it takes nothing more")
    assert (await follower.http.get("/readyz")).json()["detail"] == "the engine drains"
    if query:
        (item,) = (await follower.hear(w.Ended)).items
        assert item.outcome == Released()
    else:
        await follower.lend(60_000)
        service.web.open.set()
        (item,) = (await follower.hear(w.Ended)).items
        assert item.outcome == Completed(b"[[200, 2]]")


async def test_a_drain_with_anything_else_is_refused(service: Service) -> None:
    follower = await service.follower()
    assert (await follower.http.post("/v1/drain?running=yes")).status_code == 400
    assert not (await follower.http.get("/v1/engine")).json()["draining"]


async def test_one_that_leaves_gives_back_what_runs_and_waits_until_that_is_seen(service: Service) -> None:
    follower = await service.follower()
    await running(service, follower)
    service.host.request_stop()
    await service.expect(m.Draining)
    ended = await follower.hear(w.Ended)
    assert ended.items[0].outcome == Released()
    assert not service.running.done()
    await follower.order(w.Seen(ended.number))
    await service.expect(m.Goodbye)
    await service.plane.connection.close(m.CLOSE_DONE, "goodbye")
    async with asyncio.timeout(PATIENCE_S):
        await service.running
        await follower.over.wait()


# -------------------------------------------------------------------- TLS


def certificate(directory: Path) -> Path:
    """A certificate for 127.0.0.1, with its key, made now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engine.test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = directory / "engine.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


async def test_over_tls_only_to_who_trusts_its_certificate(serve: Serve, tmp_path: Path) -> None:
    file = await asyncio.to_thread(certificate, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    service = await serve(tls=context)
    assert service.url.startswith("https://")
    trusting = service.client(verify=ssl.create_default_context(cafile=file))
    assert (await trusting.get("/v1/engine")).status_code == 200
    with pytest.raises(httpx.ConnectError, match="certificate"):
        await service.client().get("/v1/engine")
    with pytest.raises(httpx.HTTPError):
        await service.client().get(service.url.replace("https", "http") + "/v1/engine")
