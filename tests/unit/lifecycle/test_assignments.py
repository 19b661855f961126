"""Assignments with secrets: the worker that gets a job gets what the job may read, and nobody else does."""

import asyncio

import pytest

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.adapters.memory.secrets import MemorySecretStore
from mvm_ci.adapters.sealing.aes_gcm import AesGcmSealer
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.job import JobState
from mvm_ci.domain.outcome import Released
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import Logged, SecretRead
from mvm_ci.lifecycle.dispatch import PAUSE_MS, Dispatcher
from mvm_ci.lifecycle.secrets import Secrets
from mvm_ci.testing.clock import FakeClock, settle
from mvm_ci.wire.messages import Assign, Assignment
from tests.contract.jobs import NOW, new_job, placed, report
from tests.unit.lifecycle.recording_link import RecordingLink

ONE, TWO = SessionId(1), SessionId(2)


class Rig:
    def __init__(self) -> None:
        self.queue, self.clock = MemoryJobQueue(), FakeClock()
        self.store = MemorySecretStore(self.queue._records)
        self.secrets = Secrets(self.store, AesGcmSealer([b"k" * 32]), self.clock, lambda size: b"d" * size)
        self.dispatcher = Dispatcher(self.queue, self.clock, self.secrets)
        self.links = {ONE: RecordingLink(), TWO: RecordingLink()}
        for session, link in self.links.items():
            self.dispatcher.attach(session, link)
        self.running = asyncio.create_task(self.dispatcher.run())

    def items(self, session: SessionId) -> list[Assignment]:
        return [item for sent in self.links[session].sent if isinstance(sent, Assign) for item in sent.items]

    async def credit(self, session: SessionId, more: int) -> list[Assignment]:
        self.dispatcher.credit(session, more)
        await settle()
        return self.items(session)


@pytest.fixture
async def rig() -> Rig:
    made = Rig()
    await made.secrets.set("default", "A", "the first A")
    await made.secrets.set("default", "B", "the first B")
    return made


async def test_each_job_brings_what_it_names_to_its_worker_alone(rig: Rig) -> None:
    await rig.queue.submit(
        [
            new_job(1, secrets=("A",)),
            new_job(2),
            new_job(3, secrets=("B", "A")),
            new_job(4, secrets=("A", "GONE")),
        ]
    )
    rig.dispatcher.pending()
    told = {item.placed.job: item.secrets for item in await rig.credit(ONE, 9)}
    a, b = (SecretValue(name, 1, f"the first {name}", b"d" * 32) for name in "AB")
    assert told == {1: (a,), 2: (), 3: (b, a), 4: (a, SecretValue("GONE", 0))}
    assert rig.items(TWO) == []
    rig.running.cancel()


async def test_who_goes_on_is_told_the_version_of_before(rig: Rig) -> None:
    await rig.queue.submit([new_job(1, secrets=("A", "B"), session=TWO)])
    await rig.queue.start([placed(1)], NOW)
    (segment,) = split([Logged("stdout", "x", 1), SecretRead("A", 1)], 0)
    await rig.queue.append([(placed(1), segment)])
    await rig.secrets.rotate("default", "A", "the second A")
    await rig.secrets.rotate("default", "B", "the second B")
    await rig.queue.report([report(1, Released())], NOW)
    rig.dispatcher.pending()
    rig.dispatcher.credit(ONE, 1)
    async with asyncio.timeout(10):  # a thread reads the journal
        while not rig.items(ONE):
            await settle()
    (item,) = rig.items(ONE)
    assert [(one.name, one.version, one.value) for one in item.secrets] == [
        ("A", 1, "the first A"),
        ("B", 2, "the second B"),
    ]
    assert item.journal == (segment,)
    rig.running.cancel()


async def test_a_store_that_fails_costs_no_job_and_no_credit(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.queue.submit([new_job(1, secrets=("A",)), new_job(2)])
    sealed = rig.store.sealed

    async def fail(*_: object) -> list[object]:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(rig.store, "sealed", fail)
    rig.dispatcher.pending()
    assert await rig.credit(ONE, 2) == []
    found = await rig.queue.get([new_job(1).id, new_job(2).id])
    assert {job.state for job in found if job is not None} <= {JobState.PENDING, JobState.CLAIMED}
    monkeypatch.setattr(rig.store, "sealed", sealed)
    await rig.clock.advance(PAUSE_MS)
    await settle()
    assert {item.placed.job for item in rig.items(ONE)} == {1, 2}
    assert {len(item.secrets) for item in rig.items(ONE)} == {0, 1}
    rig.running.cancel()


async def test_one_secret_is_looked_up_once_for_many_jobs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.queue.submit(
        [new_job(number, secrets=("A",) if number % 2 else ()) for number in range(1, 101)]
    )
    looked, sealed = [], rig.store.sealed

    async def counted(namespace: str, wanted: dict[str, int | None]) -> object:
        looked.append(wanted)
        return await sealed(namespace, wanted)

    monkeypatch.setattr(rig.store, "sealed", counted)
    rig.dispatcher.pending()
    assert len(await rig.credit(ONE, 100)) == 100
    assert len(looked) == 1
    rig.running.cancel()


def test_a_frame_with_many_secrets_is_no_larger_than_frames_may_be() -> None:
    from mvm_ci.domain.secrets import MAX_BYTES, MAX_OF_JOB
    from mvm_ci.lifecycle.seats import _LARGEST_JOURNAL, frames
    from mvm_ci.wire.frames import encode
    from mvm_ci.wire.messages import MAX_FRAME

    names = tuple(f"{number:x<100}" for number in range(MAX_OF_JOB))
    values = tuple(SecretValue(name, 1, "v" * MAX_BYTES, b"d" * 32) for name in names)
    journal = tuple(Segment(0, 1, b"x" * (256 << 10)) for _ in range(_LARGEST_JOURNAL >> 18))
    spec = new_job(1, secrets=names, payload=b"x" * 4096).spec
    items = [Assignment(placed(1), 1, spec, journal, 9, values)] * 3
    encoded = [encode(Assign(tuple(frame))) for frame in frames(items)]
    assert len(encoded) == 3
    assert max(map(len, encoded)) < MAX_FRAME
