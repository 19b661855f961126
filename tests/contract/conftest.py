"""The stores under test: a new adapter is a further parameter, and no further test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from mvm_ci.adapters.blobs.files import FileBlobStore
from mvm_ci.adapters.blobs.memory import MemoryBlobStore
from mvm_ci.adapters.memory.access import MemoryAccess
from mvm_ci.adapters.memory.artifacts import MemoryArtifactStore
from mvm_ci.adapters.memory.event_log import MemoryEventLog
from mvm_ci.adapters.memory.mail import MemoryMailStore
from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.adapters.memory.registry import MemoryRegistry
from mvm_ci.adapters.memory.retained import MemoryRetainedJobs
from mvm_ci.adapters.memory.schedules import MemoryScheduleStore
from mvm_ci.adapters.memory.secrets import MemorySecretStore
from mvm_ci.adapters.sql.artifacts import SqlArtifactStore
from mvm_ci.adapters.sql.mail import SqlMailStore
from mvm_ci.adapters.sql.queue import SqlJobQueue
from mvm_ci.adapters.sql.retention import SqlRetainedJobs
from mvm_ci.adapters.sql.secrets import SqlSecretStore
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.ports.access import Access
from mvm_ci.ports.artifacts import ArtifactStore
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.event_log import EventLog
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.mail import MailStore
from mvm_ci.ports.registry import Registry
from mvm_ci.ports.retention import RetainedJobs
from mvm_ci.ports.schedules import ScheduleStore
from mvm_ci.ports.secrets import SecretStore
from tests.integration.engine.fakes import World, running

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def never_blocking() -> Iterator[None]:
    with blockbuster_ctx():
        yield


@pytest.fixture(params=["memory", "sqlite"])
async def stores(
    request: pytest.FixtureRequest, tmp_path: Path, never_blocking: None
) -> AsyncIterator[tuple[JobQueue, Registry, Access]]:
    if request.param == "memory":
        yield MemoryJobQueue(), MemoryRegistry(), MemoryAccess()
    else:
        store = await asyncio.to_thread(SqlStore.open, tmp_path / "state")
        yield store.queue, store.registry, store.access
        await store.close()


@pytest.fixture
def queue(stores: tuple[JobQueue, Registry, Access]) -> JobQueue:
    return stores[0]


@pytest.fixture
def registry(stores: tuple[JobQueue, Registry, Access]) -> Registry:
    return stores[1]


@pytest.fixture
def retained(stores: tuple[JobQueue, Registry, Access]) -> RetainedJobs:
    queue = stores[0]
    if isinstance(queue, MemoryJobQueue):
        return MemoryRetainedJobs(queue._records)
    assert isinstance(queue, SqlJobQueue)
    return SqlRetainedJobs(queue._writer, queue._reader)


@pytest.fixture
def mail(stores: tuple[JobQueue, Registry, Access]) -> MailStore:
    queue = stores[0]
    if isinstance(queue, MemoryJobQueue):
        return MemoryMailStore(queue)
    assert isinstance(queue, SqlJobQueue)
    return SqlMailStore(queue._writer, queue._reader)


@pytest.fixture
def secret_store(stores: tuple[JobQueue, Registry, Access]) -> SecretStore:
    queue = stores[0]
    if isinstance(queue, MemoryJobQueue):
        return MemorySecretStore(queue._records)
    assert isinstance(queue, SqlJobQueue)
    return SqlSecretStore(queue._writer, queue._reader)


@pytest.fixture
def artifacts(stores: tuple[JobQueue, Registry, Access]) -> ArtifactStore:
    queue = stores[0]
    if isinstance(queue, MemoryJobQueue):
        return MemoryArtifactStore(queue)
    assert isinstance(queue, SqlJobQueue)
    return SqlArtifactStore(queue._writer, queue._reader)


@pytest.fixture
def access(stores: tuple[JobQueue, Registry, Access]) -> Access:
    return stores[2]


@pytest.fixture(params=["memory", "files"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path, never_blocking: None) -> BlobStore:
    if request.param == "memory":
        return MemoryBlobStore()
    return await asyncio.to_thread(FileBlobStore, tmp_path / "blobs")


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
    # Whatever guests do, the engine's event loop is never blocked.
    with blockbuster_ctx("mvm_ci"):
        async with running(tmp_path) as world:
            yield world


@pytest.fixture(params=["memory", "sqlite"])
async def schedules(
    request: pytest.FixtureRequest, tmp_path: Path, never_blocking: None
) -> AsyncIterator[ScheduleStore]:
    if request.param == "memory":
        yield MemoryScheduleStore()
    else:
        store = await asyncio.to_thread(SqlStore.open, tmp_path / "state")
        yield store.schedules
        await store.close()


@pytest.fixture(params=["memory", "sqlite"])
async def event_log(
    request: pytest.FixtureRequest, tmp_path: Path, never_blocking: None
) -> AsyncIterator[EventLog]:
    if request.param == "memory":
        yield MemoryEventLog()
    else:
        store = await asyncio.to_thread(SqlStore.open, tmp_path / "state")
        yield store.events
        await store.close()
