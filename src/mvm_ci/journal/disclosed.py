"""What a guest knows of its job's secrets, and so what must not stand in anything that is kept of it.

Nothing is masked before a secret is read: until then the guest cannot know it. So what is masked follows from
what the guest did, and is the same at every replay.
"""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec

from mvm_ci.domain.errors import SecretMissing
from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResponse, HttpResult
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.masking import Mask
from mvm_ci.domain.outcome import Failure
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.journal.describe import storable, summarize
from mvm_ci.journal.entries import Entry, SecretRead

_encode: Final = msgspec.msgpack.Encoder().encode


class Disclosed:
    """``secrets``: all that the job may read. It is true once the guest knows one, and contains those that it
    knows.
    """

    __slots__ = ("_digest_key", "_given", "_held", "_known", "_mask")

    def __init__(self, secrets: Iterable[SecretValue] = ()) -> None:
        self._given = {secret.name: secret for secret in secrets}
        self._known: dict[str, str] = {}
        self._mask: Mask | None = None
        self._held: dict[str, bytes] = {}
        self._digest_key = b""

    def __bool__(self) -> bool:
        return self._mask is not None

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def given(self, name: str) -> SecretValue | None:
        """The secret, if the job may read it."""
        return self._given.get(name)

    def read(self, name: str, version: int | None = None) -> str | None:
        """The guest reads a secret, in this version if one is recorded; None: the job may not.

        Raises ``SecretMissing`` if what it would be told is not there.
        """
        known = self._known.get(name)
        if known is not None:
            return known
        secret = self._given.get(name)
        if secret is None and version is None:
            return None
        if secret is None or secret.value is None or version not in (None, secret.version):
            raise SecretMissing(name, version)
        self._known[name] = secret.value
        self._mask = Mask(self._known.values())
        self._digest_key += secret.digest_key
        return secret.value

    def passed(self, entries: Iterable[Entry]) -> None:
        """Replay passes these by: what the guest read there it knows. Raises ``SecretMissing``."""
        for entry in entries:
            if isinstance(entry, SecretRead):
                self.read(entry.name, entry.version)

    @property
    def longest(self) -> int:
        """Bytes of the longest form of what the guest knows."""
        return 0 if self._mask is None else self._mask.longest

    # ------------------------------------------------------------ what must not tell them

    def text(self, text: str) -> str:
        """``text``, masked."""
        return text if self._mask is None else self._mask.text(storable(text))

    def data(self, data: bytes) -> bytes:
        """Bytes, masked."""
        return data if self._mask is None else self._mask.data(data)

    def json(self, data: bytes) -> bytes:
        """A JSON document, or other bytes, masked."""
        return data if self._mask is None else self._mask.json(data)

    def failure(self, failure: Failure) -> Failure:
        """A failure, masked as one text: a secret of several lines may begin in the message."""
        if self._mask is None:
            return failure
        message, _, detail = self.text(f"{failure.message}\n{failure.detail}").partition("\n")
        return Failure(kind=failure.kind, message=message, detail=detail)

    def answer(self, result: HttpResult) -> HttpResult:
        """A server's answer, with its whole body, masked: it may hold what it was sent."""
        if self._mask is None:
            return result
        if isinstance(result, HttpFailure):
            return HttpFailure(result.kind, self.text(result.message))
        headers = tuple((self.text(name), self.text(value)) for name, value in result.headers)
        body = self.data(result.body) if isinstance(result.body, bytes) else result.body
        return HttpResponse(result.status, self.text(result.url), headers, body)

    def written(self, stream: str, text: str) -> str:
        """What can be shown now of all that was written to a stream, masked. An end that may be the beginning
        of a secret is held back.
        """
        if self._mask is None:
            return text
        shown, held = self._mask.split(self._held.pop(stream, b"") + storable(text).encode())
        if held:
            self._held[stream] = held
        return shown.decode()

    def rest(self) -> Iterable[tuple[str, str]]:
        """The streams of which something was held back, and that, masked. Then nothing is, any more."""
        if not self._held:
            return ()
        held, self._held = self._held, {}
        return [(stream, self.data(data).decode()) for stream, data in held.items()]

    def request(self, request: HttpRequest) -> tuple[Digest, str]:
        """What a journal holds of a request: a digest of all of it but the time-out, and a summary.

        Of a guest that knows a secret the digest needs a key that nobody has who reads the journal: else they
        could try what the secret may be.
        """
        parts: tuple[object, ...] = (
            request.method,
            request.url,
            request.headers,
            request.body,
            request.idempotent,
        )
        if request.from_artifact is not None or request.to_artifact:
            parts = (*parts, request.from_artifact, request.to_artifact)
        asked = _encode(parts)
        key = self._digest_key
        digest = hmac.digest(key, asked, "sha256").hex() if key else sha256(asked).hexdigest()
        return Digest(digest), summarize(request, self.text)
