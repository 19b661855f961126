"""Writes what the present code makes of its state: ``vN.sql`` and ``vN.json``, N being its schema's version.

Run it (``python -m tests.golden.state.make``) before a release whose schema is new. A file that is there
stays as it is: it is what a released version wrote.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from mvm_ci.adapters.sql.database import APPLICATION_ID, FILE
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.events import EventKind, pack
from mvm_ci.domain.ids import Digest, Incarnation, JobId, SessionId, WorkerId
from mvm_ci.domain.job import JobState
from mvm_ci.domain.level import Level
from mvm_ci.domain.namespace import DEFAULT_NAMESPACE
from mvm_ci.domain.options import DEFAULT_OPTIONS, Idempotency
from mvm_ci.domain.outcome import Completed, Released, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.quota import Quota
from mvm_ci.domain.role import Role
from mvm_ci.domain.schedule import Schedule
from mvm_ci.domain.shown import Progress
from mvm_ci.domain.tokens import token_id
from mvm_ci.ports.access import ALL_NAMESPACES, ApiToken, AuditEntry, Namespace
from mvm_ci.ports.catalogue import ModuleInfo, ModuleVersion
from mvm_ci.ports.job_queue import Segment
from mvm_ci.ports.registry import JoinToken, Worker, WorkerState
from mvm_ci.ports.secrets import Sealed
from tests.contract.jobs import FAILED, MODULE, NOW, SESSION, new_job, placed, reach, report
from tests.contract.letters import GO, child_of, letter, promise

HERE = Path(__file__).parent
BLOB = BlobRef(Digest("6" * 64), 10_000)
RETRIED, WITH_BLOBS, JOURNALED, TAGGED, PARENT, WITH_SECRETS = 100, 101, 102, 103, 104, 105
"""Jobs beside the one of each state, whose id is 1 more than the state's number."""


async def fill(store: SqlStore) -> None:
    """A row, or several, in every table."""
    queue, registry = store.queue, store.registry
    # The dead one first: what its session loses would be all others' loss, too.
    for state in sorted(JobState, reverse=True):
        await reach(queue, 1 + int(state), state)
    await queue.submit(
        [new_job(RETRIED, session=SESSION), new_job(WITH_BLOBS, session=SESSION, payload=BLOB)]
    )
    await queue.report([report(RETRIED, FAILED, retry_ms=NOW + 5_000)], NOW)
    await queue.start([placed(WITH_BLOBS)], NOW)
    await queue.report([report(WITH_BLOBS, Completed(BLOB))], NOW + 7)
    await queue.submit([new_job(JOURNALED, session=SESSION)])
    await queue.start([placed(JOURNALED)], NOW)
    await queue.append([(placed(JOURNALED), Segment(first=0, count=2, data=b"two entries"))])
    await queue.append([(placed(JOURNALED), Segment(first=2, count=1, data=b"\x00\xff"))])
    options = replace(
        DEFAULT_OPTIONS, tags=("nightly",), metadata=(("k", "v"),), idempotency=Idempotency("key", b"r" * 16)
    )
    options = replace(options, deadline_ms=NOW + 90_000)
    left = Level("default", "k", 0.5, NOW, NOW + 60_000)
    await queue.submit([new_job(TAGGED, session=SESSION, options=options)], [left])
    await _fill_mail(store)
    await queue.submit([new_job(WITH_SECRETS, secrets=("TOKEN",))])
    await store.secrets.add_version(Sealed("default", "TOKEN", 1, b"sealed"), ("m",), NOW)
    await store.queues.pause(options.lane.namespace, options.lane.queue, NOW)
    for role in Role:
        key = role.value.ljust(64, "0")
        token = ApiToken(
            id=token_id(key),
            digest=key,
            name=f"a {role.value}",
            role=role,
            namespace=ALL_NAMESPACES,
            created_ms=NOW,
        )
        await store.access.put_token(token)
    await store.access.put_namespace(Namespace(name="team", created_ms=NOW, quota=Quota(max_waiting=5)))
    await store.access.record(
        AuditEntry(
            at_ms=NOW,
            token="at1",
            name="a viewer",
            address="127.0.0.1",
            namespace="team",
            action="token.create",
            target="at2",
            outcome="refused",
        )
    )
    schedule = Schedule(
        namespace="team", name="nightly", when="0 3 * * *", job='{"module": "m"}', created_ms=NOW
    )
    await store.schedules.add(schedule)
    join = JoinToken(id="j1", digest="a" * 64, created_ms=NOW, expires_ms=NOW + 60_000, uses_left=9)
    await registry.put_join_token(join)
    for number, standing in enumerate(WorkerState):
        worker = Worker(
            id=WorkerId(f"{number:x}" * 64),
            name=f"worker {number}",
            state=WorkerState.ACTIVE,
            joined_ms=NOW,
            version="0.1",
            platform="linux",
            slots=2,
            session=SessionId(SESSION + number),
            incarnation=Incarnation("b" * 32),
        )
        await registry.join(join.digest, worker, NOW)
        await registry.open_session(worker, NOW)
        if standing is not WorkerState.ACTIVE:
            await registry.set_worker_state(worker.id, standing)
            await registry.close_session(worker.id, SessionId(SESSION + number), NOW)
    revoked = Worker(id=WorkerId("e" * 64), name="gone", state=WorkerState.ACTIVE, joined_ms=NOW)
    await registry.join(join.digest, revoked, NOW)
    await registry.set_worker_state(revoked.id, WorkerState.REVOKED)
    await registry.forget_worker(revoked.id)
    events = pack(1, NOW, [(EventKind.SUBMITTED, [new_job(RETRIED).id, new_job(WITH_BLOBS).id])])
    await store.events.append(events, at_once=True)
    await registry.put_module(
        DEFAULT_NAMESPACE,
        ModuleInfo(digest=MODULE, name="m", kind="core", size=9, created_ms=NOW, allow_hosts=("a.test",)),
    )
    published = ModuleVersion(name="m", version="1.0", digest=MODULE, created_ms=NOW)
    await registry.publish(DEFAULT_NAMESPACE, published)
    await store.artifacts.upload(DEFAULT_NAMESPACE, BLOB.digest, BLOB.size, NOW)


async def _fill_mail(store: SqlStore) -> None:
    """A family: one child has ended, the other has not; the parent took a letter and waits for more."""
    queue, mail = store.queue, store.mail
    await queue.submit([new_job(PARENT, session=SESSION)])
    children = [new_job(PARENT + n, session=SESSION, options=child_of(PARENT)) for n in (1, 2)]
    await queue.submit(children)
    await queue.report([report(PARENT + 1, Completed(BLOB))], NOW)
    await queue.report([report(PARENT + 2, Released())], NOW)
    for key in ("first", "second"):
        await mail.send(letter(PARENT, key=key))
    first, _ = await mail.mail(JobId(PARENT), (GO,), 2)
    await queue.append([(placed(PARENT), Segment(0, 1, b"took", (first.number,)))])
    await mail.progress(placed(PARENT), Progress(text="half way", done=1, total=2))
    await mail.open_promise(promise(job=PARENT))
    waits = Suspended(NOW + 5_000, (f"child:{PARENT + 2}",))
    await queue.report([report(PARENT, waits)], NOW)


async def facts(store: SqlStore) -> dict[str, Any]:
    """What can be read of it, as every later version must read it, too."""
    queue, registry = store.queue, store.registry
    jobs = []
    for job in await queue.list_jobs(limit=1_000):
        journal = await queue.journal(job.id, job.attempt)
        seen = {
            name: getattr(job, name)
            for name in ("id", "created_ms", "attempt", "epoch", "session", "losses", "journal_length")
        }
        seen["tags"] = list(job.options.tags)
        parent = job.options.parent
        seen |= {
            "parent": None if parent is None else [parent.job, parent.attempt],
            "awaits": list(job.awaits),
        }
        seen["deadline_ms"] = job.options.deadline_ms
        seen["progress"] = None if job.progress is None else job.progress.text
        boxed = await store.mail.mail(job.id, (GO, f"child:{PARENT + 1}"), 10)
        seen["mail"] = [[one.number, one.topic, _payload(one.body or b"")] for one in boxed]
        seen |= {name: getattr(job, name) for name in ("started_ms", "finished_ms", "wake_ms")}
        spec = job.spec
        jobs.append(
            seen
            | {
                "state": job.state.label,
                "module": spec.module,
                "name": spec.name,
                "timeout_ms": spec.timeout_ms,
            }
            | {"input": _payload(spec.input), "result": None if job.result is None else _payload(job.result)}
            | {"failure": None if job.failure is None else [job.failure.kind.value, job.failure.message]}
            | {"journal": [[part.first, part.count, part.data.hex()] for part in journal]}
        )
    workers = [
        [one.id, one.name, int(one.state), one.session, one.session_open] for one in await registry.workers()
    ]
    held = await registry.modules(DEFAULT_NAMESPACE)
    modules = [[one.digest, one.name, one.kind, list(one.allow_hosts)] for one in held]
    versions = [[one.name, one.version, one.digest] for one in await registry.names(DEFAULT_NAMESPACE)]
    tokens = [await store.access.token(role.value.ljust(64, "0")) for role in Role]
    opened = await store.mail.promise("p")
    joins = [[one.id, one.digest, one.expires_ms, one.uses_left] for one in await registry.join_tokens()]
    return {
        "jobs": jobs,
        "workers": workers,
        "modules": modules,
        "versions": versions,
        "api_tokens": [[one.name, one.role.value] for one in tokens if one is not None],
        "join_tokens": joins,
        "promises": [] if opened is None else [[opened.id, opened.job, opened.label, opened.digest]],
        "secrets": [
            [one.name, one.version, list(one.modules)]
            for one in await store.secrets.secrets(DEFAULT_NAMESPACE)
        ],
        "levels": [list(level) for level in await queue.levels(NOW)],
        "uploads": await store.artifacts.held(DEFAULT_NAMESPACE, [BLOB.digest]),
    }


def _payload(payload: bytes | BlobRef) -> list[Any]:
    return [payload.digest, payload.size] if isinstance(payload, BlobRef) else [payload.hex()]


def dump(file: Path) -> str:
    """A database as text."""
    with closing(sqlite3.connect(file)) as connection:
        lines = "\n".join(connection.iterdump())
    return f"PRAGMA application_id = {APPLICATION_ID};\n{lines}\n"


async def make(directory: Path) -> tuple[str, str]:
    """The state as text, and what can be read of it."""
    store = await asyncio.to_thread(SqlStore.open, directory)
    try:
        await fill(store)
        read = await facts(store)
    finally:
        await store.close()
    text = await asyncio.to_thread(dump, directory / FILE)
    return text, msgspec.json.format(json.dumps(read)) + "\n"


def main() -> None:
    """Writes the two files, unless they are there."""
    with tempfile.TemporaryDirectory() as directory:
        text, read = asyncio.run(make(Path(directory)))
        with closing(sqlite3.connect(Path(directory) / FILE)) as connection:
            (version,) = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    for file, content in ((f"v{version}.sql", text), (f"v{version}.json", read)):
        with (HERE / file).open("x") as out:
            out.write(content)


if __name__ == "__main__":
    main()
