"""The calls about artifacts (``guest/abi/calls.md``), on the engine's side.

A guest puts an artifact piece by piece: ``begin``, ``write``, ``end``. Only the end is recorded, with name,
digest and size (``Called``): at replay the pieces come again, are counted and hashed, and go nowhere, if
their end is recorded. So nothing about a write may depend on the machine: what goes wrong with it (a full
disk) is the answer to the end.

What a guest gets is pinned by the recorded answer, which has the digest. Reads are not recorded: they follow
from it.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, Final, Protocol

import msgspec

from mvm_ci.domain.artifact import GET, MAX_ARTIFACT, MAX_PIECE, PUT, check_media, check_name
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResponse
from mvm_ci.domain.payload import BlobRef, Payload
from mvm_ci.journal.entries import HttpDone
from mvm_ci.journal.refers import artifact_in, names_artifact
from mvm_ci.journal.replay import Replay
from mvm_ci.ports.execution import ExecutionHost

PREFIX: Final = "artifact."
"""Of the calls. They need no journal: a run that begins again puts its artifacts again."""
MAX_OPEN: Final = 16
"""Artifacts that a guest puts at once."""
_GATHER: Final = 256 << 10
"""Small writes leave the guest's process together."""
_NOT_GOT: Final = "this job has not got an artifact of this digest and size: artifact.get comes first"
_encode: Final = msgspec.json.Encoder().encode


class Refused(Exception):
    """The guest asked for something that is not there. ``kind``: for programs."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Surroundings(Protocol):
    """The execution of the guest that calls."""

    machine: Replay

    async def load(self, payload: Payload) -> bytes:
        """The bytes of a payload."""
        ...

    async def ask(self, name: str, argument: bytes, about: str | None = None) -> bytes:
        """What the control plane answers."""
        ...


class _Writing:
    """An artifact that is being put. ``recorded``: the index of its end in the journal, if that has it."""

    __slots__ = ("end", "gathered", "hashing", "media", "name", "recorded", "sent", "size")

    def __init__(self, name: str, media: str, recorded: int | None) -> None:
        self.name = name
        self.media = media
        self.recorded = recorded
        self.hashing = sha256()
        self.size = 0
        self.sent = 0
        self.gathered = bytearray()
        self.end = b""  # in which a secret may begin


class ArtifactCalls:
    """See the module's docstring. Every method may raise ``Refused``, and what the machine and host raise."""

    __slots__ = ("_around", "_host", "_known", "_seen", "_writings")

    def __init__(self, around: Surroundings, host: ExecutionHost) -> None:
        self._around = around
        self._host = host
        self._writings: dict[str, _Writing] = {}
        self._known: dict[str, BlobRef] = {}
        self._seen = 0

    def begin(self, name: str, media: str) -> None:
        """Bytes of an artifact will come; what came under this name before and was not put is forgotten."""
        try:
            check_name(name)
            check_media(media)
        except BadInput as error:
            raise Refused("bad-call", str(error)) from None
        machine = self._around.machine
        # Of these the end was passed by, inside of something that was computed before.
        for old in [one for one in self._writings.values() if self._is_over(one)]:
            del self._writings[old.name]
        self._writings.pop(name, None)
        if len(self._writings) >= MAX_OPEN:
            raise Refused("bad-call", f"{MAX_OPEN} artifacts are being put, as many as can be at once")
        self._writings[name] = _Writing(name, media, machine.asked_ahead(PUT, name))

    async def write(self, name: str, data: bytes) -> None:
        """The next bytes."""
        writing = self._writing(name)
        if len(data) > MAX_PIECE:
            raise Refused("too-large", f"{len(data)} bytes at once; at most {MAX_PIECE} are allowed")
        if writing.size + len(data) > MAX_ARTIFACT:
            raise Refused("too-large", f"an artifact has at most {MAX_ARTIFACT} bytes")
        self._check_no_secret(writing, data)
        writing.hashing.update(data)
        writing.size += len(data)
        if writing.recorded is None:
            writing.gathered += data
            if len(writing.gathered) >= _GATHER:
                await self._send(writing)

    async def end(self, name: str) -> dict[str, Any]:
        """All has come: the artifact is kept. Digest and size."""
        writing = self._writing(name)
        del self._writings[name]
        if writing.gathered or (writing.recorded is None and not writing.size):
            await self._send(writing)
        digest = writing.hashing.hexdigest()
        asked = {"name": name, "digest": digest, "size": writing.size, "media": writing.media}
        answer = await self._around.ask(PUT, _encode(asked), name)
        self._learn(answer)
        return _result(answer)

    async def drop(self, name: str) -> None:
        """What came under this name is forgotten, if it was not put."""
        writing = self._writings.pop(name, None)
        if writing is not None and writing.sent:
            await self._host.spool(name, 0, b"")

    async def get(self, name: str, job: str | None) -> dict[str, Any]:
        """An artifact's digest and size, by which it is read."""
        asked = {"name": name} | ({} if job is None else {"job": job})
        # Told apart in the journal, for people: the name of what may be no name is cut.
        about = name[:200] if job is None else f"{name[:200]} of {job[:20]}"
        answer = await self._around.ask(GET, _encode(asked), about)
        self._learn(answer)
        return _result(answer)

    async def read(self, digest: str, offset: int, size: int) -> bytes:
        """A part of an artifact that this execution got or put; fewer bytes at its end."""
        ref = await self.known(digest)
        if ref is None:
            raise Refused("refused", _NOT_GOT)
        if offset < 0 or size < 0:
            raise Refused("bad-call", f"offset {offset}, size {size}: they cannot be negative")
        size = min(size, MAX_PIECE, ref.size - offset)
        return await self._host.read_artifact(ref, offset, size) if size > 0 else b""

    async def refusal(self, request: HttpRequest) -> HttpFailure | None:
        """Why a request cannot be made from or to an artifact, if so."""
        source = request.from_artifact
        if source is None and not request.to_artifact:
            return None
        if source is not None and request.body:
            return HttpFailure("refused", "a request's body is its own or an artifact, not both")
        if source is not None and await self.known(source.digest) != source:
            return HttpFailure("refused", _NOT_GOT)
        name = request.to_artifact
        if self._around.machine.disclosed.text(name) != name:
            return HttpFailure("refused", "the artifact's name holds a secret that the job has read")
        try:
            check_name(name or "-")
        except BadInput as error:
            return HttpFailure("refused", str(error))
        return None

    async def known(self, digest: str) -> BlobRef | None:
        """A blob this execution was told of before, be it in a part of its journal that was passed by."""
        if digest not in self._known:
            entries = self._around.machine.behind(self._seen)
            self._seen += len(entries)
            for entry in entries:
                if names_artifact(entry):
                    self._learn(await self._around.load(entry.answer))
                elif isinstance(entry, HttpDone) and isinstance(entry.result, HttpResponse):
                    self.learn(entry.result.body)
        return self._known.get(digest)

    def learn(self, body: Payload) -> None:
        """What a request was answered with."""
        if isinstance(body, BlobRef):
            self._known[body.digest] = body

    def _learn(self, answer: bytes) -> None:
        known = artifact_in(answer)
        if known is not None:
            self.learn(known)

    def _writing(self, name: str) -> _Writing:
        writing = self._writings.get(name)
        if writing is None or self._is_over(writing):
            raise Refused("bad-call", f"no artifact {name[:80]!r} is being put: artifact.begin comes first")
        return writing

    def _is_over(self, writing: _Writing) -> bool:
        return writing.recorded is not None and self._around.machine.passed(writing.recorded)

    def _check_no_secret(self, writing: _Writing, data: bytes) -> None:
        disclosed = self._around.machine.disclosed
        if disclosed:
            seen = writing.end + data
            if disclosed.data(seen) != seen:
                raise Refused("secret", "the artifact would hold a secret that the job has read")
            writing.end = seen[-disclosed.longest :]

    async def _send(self, writing: _Writing) -> None:
        data, writing.gathered = bytes(writing.gathered), bytearray()
        await self._host.spool(writing.name, writing.sent, data)
        writing.sent += len(data)


def _result(answer: bytes) -> dict[str, Any]:
    found = msgspec.json.decode(answer)
    if "error" in found:
        raise Refused(found["error"]["kind"], found["error"]["message"])
    result: dict[str, Any] = found["ok"]
    return result


class _Begin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    media: str = ""


class _Write(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    data: bytes


class _End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Drop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Get(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    job: str | None = None


class _Read(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    digest: str
    offset: int
    size: int


async def _begin(calls: ArtifactCalls, asked: _Begin) -> None:
    calls.begin(asked.name, asked.media)


async def _write(calls: ArtifactCalls, asked: _Write) -> None:
    await calls.write(asked.name, asked.data)


async def _end(calls: ArtifactCalls, asked: _End) -> dict[str, Any]:
    return await calls.end(asked.name)


async def _drop(calls: ArtifactCalls, asked: _Drop) -> None:
    await calls.drop(asked.name)


async def _get(calls: ArtifactCalls, asked: _Get) -> dict[str, Any]:
    return await calls.get(asked.name, asked.job)


async def _read(calls: ArtifactCalls, asked: _Read) -> bytes:
    return await calls.read(asked.digest, asked.offset, asked.size)


CALLS: Final[dict[str, tuple[type[Any], Callable[[ArtifactCalls, Any], Awaitable[Any]]]]] = {
    "artifact.begin": (_Begin, _begin),
    "artifact.write": (_Write, _write),
    "artifact.end": (_End, _end),
    "artifact.drop": (_Drop, _drop),
    GET: (_Get, _get),
    "artifact.read": (_Read, _read),
}
"""Arguments and what carries the calls out, by name; ``artifact.list`` goes to the control plane as it is."""
