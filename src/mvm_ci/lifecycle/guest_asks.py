"""What guests ask the control plane for, by name (``guest/abi/calls.md``); answers are JSON documents."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import structlog

from mvm_ci.domain.errors import (
    BadInput,
    DiskFull,
    MvmCiError,
    QueueFull,
    QuotaExceeded,
    Unavailable,
)
from mvm_ci.domain.ids import JobId, format_job_id, parse_job_id
from mvm_ci.domain.job import Job, Placed
from mvm_ci.domain.mail import MailWait, are_topics, decode_wait
from mvm_ci.domain.shown import MAX_TEXT, Progress
from mvm_ci.lifecycle.artifact_asks import ArtifactAsks
from mvm_ci.lifecycle.family import Family, decode_children
from mvm_ci.lifecycle.job_request import check_metadata
from mvm_ci.lifecycle.mailroom import Answer, Mailroom
from mvm_ci.lifecycle.messages import Messages
from mvm_ci.lifecycle.placed_jobs import PlacedJobs
from mvm_ci.lifecycle.promises import OpenPromise, Promises
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.ports.mail import MailStore
from mvm_ci.wire.api import MessageSpec

log = structlog.get_logger(__name__)

T = TypeVar("T")
_encode: Final = msgspec.json.Encoder().encode
_DIGITS: Final = 18
Handler = Callable[[Job, str, bytes], Awaitable[Any]]


class GuestAsks:
    """See the module's docstring. Asked again with the same key, nothing is done twice."""

    def __init__(
        self,
        jobs: PlacedJobs,
        store: MailStore,
        mailroom: Mailroom,
        family: Family,
        messages: Messages,
        promises: Promises,
        waiters: Waiters,
        artifacts: ArtifactAsks,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._mailroom = mailroom
        self._family = family
        self._messages = messages
        self._promises = promises
        self._waiters = waiters
        self._artifacts = artifacts
        self._handlers: dict[str, Handler] = {
            "child.start": self._start,
            "child.cancel": self._cancel,
            "message.send": self._send,
            "promise.create": self._promise,
            "job.metadata": self._annotate,
        }

    def wait(self, placed: Placed, argument: bytes, answer: Answer) -> None:
        """A guest waits for mail. Raises ``BadInput``: no engine of ours sent that."""
        try:
            wait: MailWait = decode_wait(argument)
        except msgspec.DecodeError as error:
            raise BadInput(f"a wait for mail that cannot be read: {error}") from error
        if not wait.topics or not are_topics(wait.topics):
            raise BadInput(f"a wait for mail about {len(wait.topics)} topics")
        self._mailroom.wait(placed, wait, answer)

    async def answer(self, placed: Placed, name: str, key: str, argument: bytes) -> bytes:
        """What is done and answered. Raises ``Unavailable``: the worker must ask again."""
        try:
            handler = self._handlers.get(name) or self._artifacts.handler(name, placed)
            if handler is None:
                raise BadInput(f"there is no call {name[:80]!r} here")
            job = await self._jobs.job(placed.job)
            _check_key(key, job)
            done = await handler(job, key, argument)
        except Unavailable as error:
            # What is full may be full for long: the guest decides.
            if not isinstance(error, QueueFull | QuotaExceeded | DiskFull):
                raise
            return failed(error)
        except MvmCiError as error:
            return failed(error)
        return _encode({"ok": done})

    def tell(self, placed: Placed, name: str, argument: bytes) -> None:
        """A guest says something; it may get lost. Raises ``BadInput``: no engine of ours sent that."""
        if name != "progress":
            raise BadInput(f"a guest told {name[:80]!r}")
        try:
            progress = msgspec.json.decode(argument, type=Progress)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"progress that cannot be read: {error}") from error
        if len(progress.text) > MAX_TEXT:
            raise BadInput(f"progress of {len(progress.text)} characters")
        written = asyncio.ensure_future(self._store.progress(placed, progress))
        written.add_done_callback(partial(self._told, placed.job))

    def _told(self, job: JobId, written: asyncio.Future[None]) -> None:
        if written.cancelled():
            return
        error = written.exception()
        if error is not None:
            log.warning("progress_not_stored", job=format_job_id(job), error=str(error))
        else:
            self._waiters.changed((job,))

    async def _start(self, job: Job, key: str, argument: bytes) -> dict[str, list[str]]:
        children = await self._family.start(job, key, decode_children(argument))
        return {"jobs": [format_job_id(child) for child in children]}

    async def _cancel(self, job: Job, _key: str, argument: bytes) -> None:
        asked = _decode(argument, _ChildId).job
        try:
            child = parse_job_id(asked)
        except ValueError:
            raise BadInput(f"job: {asked[:80]!r} is not a job id (j and 13 characters)") from None
        await self._family.cancel(job, child)

    async def _send(self, job: Job, key: str, argument: bytes) -> dict[str, str]:
        sent = await self._messages.send(job.options.lane.namespace, key, _decode(argument, MessageSpec))
        return {"job": format_job_id(sent)}

    async def _promise(self, job: Job, key: str, argument: bytes) -> dict[str, str]:
        asked = _decode(argument, OpenPromise)
        return await self._promises.open(job.id, key, asked.label, asked.digest)

    async def _annotate(self, job: Job, _key: str, argument: bytes) -> None:
        metadata = _decode(argument, _Metadata).metadata
        merged = dict(job.options.metadata) | metadata
        check_metadata("metadata", {key: value for key, value in merged.items() if value is not None})
        await self._store.annotate(job.id, metadata)
        self._waiters.changed((job.id,))


def failed(error: Exception) -> bytes:
    """The answer that tells a guest of an error."""
    if isinstance(error, MvmCiError):
        return _encode({"error": {"kind": error.code, "message": str(error)}})
    message = f"an error inside the control plane: {type(error).__name__}; its log has more"
    return _encode({"error": {"kind": MvmCiError.code, "message": message}})


class _ChildId(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    job: str


class _Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metadata: dict[str, str | None]


def _check_key(key: str, job: Job) -> None:
    """What a guest asks is done once for each key, so a key must be its own: else a worker could ask in the
    name of jobs that it does not have. Raises ``BadInput``.
    """
    own = f"{format_job_id(job.id)}-{job.attempt}-"
    number = key.removeprefix(own)
    if not key.startswith(own) or not number.isdecimal() or len(number) > _DIGITS:
        raise BadInput(f"the key {key[:80]!r} is not of attempt {job.attempt} of the job that asks")


def _decode(argument: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(argument, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"the argument cannot be read: {error}") from None
