"""Mail to test stores with."""

from msgspec.structs import replace

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Job, NewJob
from mvm_ci.domain.mail import NEVER_MS, Mail, of_message
from mvm_ci.domain.options import DEFAULT_OPTIONS, JobOptions, Parent
from mvm_ci.domain.outcome import Suspended
from mvm_ci.domain.payload import Payload
from mvm_ci.ports.job_queue import JobQueue, Segment
from mvm_ci.ports.mail import Letter, MailStore, Promise
from tests.contract.jobs import NOW, SESSION, new_job, placed, report

GO = of_message("go")
OTHER = of_message("other")
WAITS = Suspended(NEVER_MS, (GO,))


def letter(
    job: int = 1, topic: str = GO, *, key: str = "k", body: Payload = b'"hello"', at_ms: int = NOW
) -> Letter:
    return Letter(job=JobId(job), topic=topic, key=key, at_ms=at_ms, body=body)


def child_of(parent: int, attempt: int = 1, options: JobOptions = DEFAULT_OPTIONS) -> JobOptions:
    return replace(options, parent=Parent(JobId(parent), attempt))


def child(number: int, parent: int = 1, *, attempt: int = 1, placed: bool = False) -> NewJob:
    """A job that the ``attempt`` of ``parent`` started."""
    return new_job(number, session=SESSION if placed else None, options=child_of(parent, attempt))


async def suspended(
    queue: JobQueue, number: int = 1, *topics: str, wake_ms: int = NEVER_MS, tail: Segment | None = None
) -> None:
    """A job that waits for mail, in its first epoch over."""
    await queue.submit([new_job(number, session=SESSION)])
    await queue.start([placed(number)], NOW)
    waits = Suspended(wake_ms, topics or (GO,))
    assert await queue.report([report(number, waits, tail=tail)], NOW) == [True]


async def the(queue: JobQueue, number: int = 1) -> Job:
    (job,) = await queue.get([JobId(number)])
    assert job is not None
    return job


async def waiting(mail: MailStore, job: int = 1, *topics: str) -> list[Mail]:
    return await mail.mail(JobId(job), topics or (GO,), 100)


def said(pieces: list[Mail]) -> list[tuple[str, Payload | None]]:
    return [(piece.topic, piece.body) for piece in pieces]


def promise(id_: str = "p", job: int = 1) -> Promise:
    return Promise(id=id_, job=JobId(job), label="a decision", digest="d" * 64, created_ms=NOW)
