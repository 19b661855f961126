"""Messages: from a job, or from outside, to a job that has not ended."""

from contextlib import suppress

from mvm_ci.domain.errors import BadInput, Conflict, NotFound, QueueFull, TooLarge
from mvm_ci.domain.ids import JobId, format_job_id, parse_job_id
from mvm_ci.domain.mail import MAX_TYPE, is_type, of_message
from mvm_ci.lifecycle.mailroom import Mailroom
from mvm_ci.lifecycle.promises import stored
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.mail import MAX_WAITING, Letter, Sent
from mvm_ci.wire.api import MAX_INPUT, MessageSpec


class Messages:
    """Sends them."""

    def __init__(self, queue: JobQueue, mailroom: Mailroom, blobs: BlobStore, clock: Clock) -> None:
        self._queue = queue
        self._mailroom = mailroom
        self._blobs = blobs
        self._clock = clock

    async def send(self, namespace: str, key: str, message: MessageSpec) -> JobId:
        """To whom it was sent; it is durable. Again with the same ``key``: it is there once.

        Raises ``NotFound``, ``Conflict`` (the job has ended), ``QueueFull`` (too much waits for it),
        ``BadInput``, ``TooLarge``, ``Unavailable``.
        """
        body = bytes(message.body)
        if not is_type(message.type):
            raise BadInput(f"type: {message.type[:80]!r} is not up to {MAX_TYPE} printable characters")
        if len(body) > MAX_INPUT:
            raise TooLarge(f"body: {len(body)} bytes; at most {MAX_INPUT} are allowed")
        job = await self._find(namespace, message.to)
        letter = Letter(
            job=job,
            topic=of_message(message.type),
            key=key,
            at_ms=self._clock.now_ms(),
            body=await stored(self._blobs, body),
        )
        sent = await self._mailroom.send(letter)
        if sent is Sent.OVER:
            raise Conflict(f"the job {format_job_id(job)} has ended")
        if sent is Sent.FULL:
            raise QueueFull(f"{MAX_WAITING} messages wait for the job {format_job_id(job)}")
        return job

    async def _find(self, namespace: str, to: str) -> JobId:
        # The id first: no other job can take it by being submitted with it as its key.
        with suppress(ValueError):
            (job,) = await self._queue.get([parse_job_id(to)])
            if job is not None and job.options.lane.namespace == namespace:
                return job.id
        known = await self._queue.keyed(namespace, [to])
        if to not in known:
            raise NotFound(f"to: no job has the id or the idempotency key {to[:80]!r}")
        return known[to].job
