"""Promises: a job waits for somebody outside, who completes the promise over HTTP with a token, once."""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from mvm_ci.domain.errors import BadInput, Conflict, Refused, TooLarge
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.mail import of_promise
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.domain.payload import INLINE_LIMIT, Payload
from mvm_ci.domain.tokens import same
from mvm_ci.lifecycle.mailroom import Mailroom
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.mail import Letter, MailStore, Promise
from mvm_ci.wire.api import MAX_INPUT, CompletePromise

MAX_LABEL: Final = 200
"""Characters of a promise's label."""
_DIGEST: Final = 64
_MESSAGE: Final = 4_096


class Promises:
    """``url``: says where the API is reached from outside, without a slash at its end."""

    def __init__(
        self, store: MailStore, mailroom: Mailroom, blobs: BlobStore, clock: Clock, url: Callable[[], str]
    ) -> None:
        self._store = store
        self._mailroom = mailroom
        self._blobs = blobs
        self._clock = clock
        self._url = url

    async def open(self, job: JobId, key: str, label: str, digest: str) -> dict[str, str]:
        """A promise with the id ``key``, durable on return: its id, and where to complete it.

        ``digest``: of its token, hex. Raises ``BadInput``, ``Unavailable``.
        """
        if len(label) > MAX_LABEL:
            raise BadInput(f"label: {len(label)} characters; at most {MAX_LABEL} are allowed")
        if len(digest) != _DIGEST:
            raise BadInput("digest: not that of a token")
        now = self._clock.now_ms()
        await self._store.open_promise(Promise(id=key, job=job, label=label, digest=digest, created_ms=now))
        return {"promise": key, "url": f"{self._url()}/v1/promises/{key}"}

    async def complete(self, id_: str, token: str, asked: CompletePromise) -> Promise:
        """Completes it, durably. Raises ``Refused`` (no such promise, or not its token: not told apart),
        ``Conflict`` (it is completed, or its job has ended), ``BadInput``, ``TooLarge``, ``Unavailable``.
        """
        promise = await self._store.promise(id_)
        digest = sha256(token.encode()).hexdigest()
        if not same(promise.digest if promise is not None else "0" * _DIGEST, digest) or promise is None:
            raise Refused("there is no such promise, or the token is not its token")
        body, failure = await self._contents(asked)
        letter = Letter(
            job=promise.job,
            topic=of_promise(id_),
            key="",
            at_ms=self._clock.now_ms(),
            body=body,
            failure=failure,
        )
        if not await self._store.complete_promise(id_, letter):
            raise Conflict("the promise is completed already, or the job that made it has ended")
        self._mailroom.arrived((promise.job,))
        return promise

    async def _contents(self, asked: CompletePromise) -> tuple[Payload | None, Failure | None]:
        if asked.error is not None:
            return None, Failure(kind=FailureKind.PROMISE, message=asked.error[:_MESSAGE])
        value = bytes(asked.value)
        if len(value) > MAX_INPUT:
            raise TooLarge(f"value: {len(value)} bytes; at most {MAX_INPUT} are allowed")
        return await stored(self._blobs, value), None


async def stored(blobs: BlobStore, data: bytes) -> Payload:
    """``data`` as a row may hold it."""
    return await blobs.put(data) if len(data) > INLINE_LIMIT else data


class OpenPromise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The argument of ``promise.create``, as engines send it."""

    digest: str
    label: str = ""
