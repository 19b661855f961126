import asyncio
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from mvm_ci.adapters.blobs.memory import MemoryBlobStore
from mvm_ci.adapters.memory.access import MemoryAccess
from mvm_ci.adapters.memory.artifacts import MemoryArtifactStore
from mvm_ci.adapters.memory.event_log import MemoryEventLog
from mvm_ci.adapters.memory.figures import MemoryFigures
from mvm_ci.adapters.memory.mail import MemoryMailStore
from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.adapters.memory.queues import MemoryQueues
from mvm_ci.adapters.memory.registry import MemoryRegistry
from mvm_ci.adapters.memory.schedules import MemoryScheduleStore
from mvm_ci.adapters.memory.secrets import MemorySecretStore
from mvm_ci.adapters.sealing.aes_gcm import AesGcmSealer
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.control_plane.plane import ControlPlane
from mvm_ci.control_plane.settings import ControlPlaneSettings
from mvm_ci.control_plane.stores import Stores
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.namespace import DEFAULT_NAMESPACE
from mvm_ci.domain.role import Role
from mvm_ci.domain.tokens import TokenKind, digest, format_token, token_id
from mvm_ci.ports.access import ALL_NAMESPACES, ApiToken, Namespace
from mvm_ci.ports.catalogue import ModuleInfo
from mvm_ci.ports.registry import JoinToken
from mvm_ci.ports.transport import Transport
from mvm_ci.testing.clock import FakeClock
from mvm_ci.testing.transport import MemoryNetwork, MemoryTransport
from mvm_ci.wire import http
from mvm_ci.wire.messages import ALPN
from tests.integration.control_plane.scripted_worker import ScriptedWorker

MODULE = Digest("a" * 64)
AT_ONCE: dict[str, dict[str, int]] = {
    "/v1/jobs/{id}/wait": {"timeout_s": 0},
    "/v1/events": {"follow": 0},
}
"""How to ask so that the answer does not wait."""
JOIN = format_token(TokenKind.JOIN, bytes(32))


TEAM = "team"
"""A namespace beside ``default``."""


def api_token(role: Role, namespace: str = ALL_NAMESPACES) -> str:
    return format_token(TokenKind.API, sha256(f"{role.value} {namespace}".encode()).digest())


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    with blockbuster_ctx("mvm_ci") as found:
        yield found


class RoomyDisk:
    """A ``Disk`` with as much room as a test says."""

    def __init__(self) -> None:
        self.free = 1 << 40

    async def free_bytes(self) -> int:
        return self.free


class Stand:
    """A control plane on memory stores that can be stopped and started again on the same state."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.network = MemoryNetwork()
        self.transport: Transport = MemoryTransport(self.network)
        self.address = "memory:0"
        self.queue: Any = MemoryJobQueue()
        self.mail: Any = MemoryMailStore(self.queue)
        self.artifacts: Any = MemoryArtifactStore(self.queue)
        self.queues: Any = MemoryQueues()
        self.registry: Any = MemoryRegistry()
        self.access: Any = MemoryAccess()
        self.schedules: Any = MemoryScheduleStore()
        self.events: Any = MemoryEventLog()
        self.secrets: Any = MemorySecretStore(self.queue._records)
        self.disk = RoomyDisk()
        self.figures: Any = MemoryFigures()
        self.blobs = MemoryBlobStore()
        self.plane: ControlPlane
        self.endpoint: Any
        self.grant_key = b"g" * 32
        self._keys = 0

    async def prepare(self) -> None:
        await self.access.put_namespace(Namespace(name=TEAM, created_ms=0))
        for role in Role:
            for namespace in (ALL_NAMESPACES, TEAM):
                key = digest(api_token(role, namespace))
                token = ApiToken(
                    id=token_id(key),
                    digest=key,
                    name=role.value,
                    role=role,
                    namespace=namespace,
                    created_ms=0,
                )
                await self.access.put_token(token)
        await self.registry.put_join_token(
            JoinToken(id="jt1", digest=digest(JOIN), created_ms=0, expires_ms=1 << 60, uses_left=10_000)
        )
        noop = ModuleInfo(
            digest=MODULE, name="noop", kind="core", size=0, created_ms=1, allow_hosts=("api.example.org",)
        )
        for namespace in (DEFAULT_NAMESPACE, TEAM):
            await self.registry.put_module(namespace, noop)

    async def start(self, **settings: Any) -> None:
        self.endpoint = await self.transport.bind(
            secret_key=b"c" * 32, address=self.address, alpns=[ALPN, http.ALPN, http.ENGINE_ALPN]
        )
        self.plane = ControlPlane(
            ControlPlaneSettings(**{"port": 0, **settings}),
            Stores(
                queue=self.queue,
                mail=self.mail,
                artifacts=self.artifacts,
                queues=self.queues,
                registry=self.registry,
                access=self.access,
                schedules=self.schedules,
                secrets=self.secrets,
                sealer=AesGcmSealer([b"k" * 32]),
                events=self.events,
                blobs=self.blobs,
                disk=self.disk,
                figures=self.figures,
            ),
            self.endpoint,
            self.clock,
            jitter=lambda: 0.0,
            grant_key=self.grant_key,
        )
        await self.plane.start()

    async def stop(self) -> None:
        await self.plane.stop()
        await self.endpoint.close()

    async def worker(self, *, join_token: str | None = JOIN) -> ScriptedWorker:
        """A worker with a key of its own, not connected yet."""
        self._keys += 1
        key = self._keys.to_bytes(32, "big")
        endpoint = await self.transport.bind(secret_key=key, address=self.address, alpns=[ALPN])
        return ScriptedWorker(endpoint, self.endpoint.ticket(), join_token)

    def client(
        self, role: Role = Role.ADMIN, namespace: str = ALL_NAMESPACES, **headers: str
    ) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.plane.api_url,
            headers={"authorization": f"Bearer {api_token(role, namespace)}", **headers},
            trust_env=False,
            timeout=20,
        )


@pytest.fixture
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    """On stores in memory, or on what a test asks for (``indirect``)."""
    stand = Stand()
    store: SqlStore | None = None
    if getattr(request, "param", "memory") == "sqlite":
        store = await asyncio.to_thread(SqlStore.open, tmp_path / "store")
        stand.queue, stand.queues, stand.registry = store.queue, store.queues, store.registry
        stand.mail, stand.access = store.mail, store.access
        stand.artifacts = store.artifacts
        stand.schedules = store.schedules
        stand.secrets = store.secrets
        stand.events = store.events
        stand.figures = store.figures
    await stand.prepare()
    await stand.start()
    yield stand
    await stand.stop()
    if store is not None:
        await store.close()


@pytest.fixture
async def api(stand: Stand) -> AsyncIterator[httpx.AsyncClient]:
    async with stand.client() as client:
        yield client


def jobs(count: int = 1, **fields: Any) -> list[dict[str, Any]]:
    return [{"module": MODULE, "input": {"n": n}, **fields} for n in range(count)]


async def submit(api: httpx.AsyncClient, count: int = 1, *, wait_s: float = 0, **fields: Any) -> list[Any]:
    answer = await api.post("/v1/jobs", json={"jobs": jobs(count, **fields), "wait_s": wait_s})
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["jobs"]
    return found
