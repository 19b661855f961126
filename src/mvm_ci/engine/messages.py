"""What the pool and its runner processes say to each other, and how it is framed.

One socket pair joins them. The runner reads it between two turns of its guests, so within a time slice even
when all of them compute.

A frame is a length (4 bytes, little-endian) and a MessagePack array whose first element is the tag. Both ends
are always of the same build, so the frames have no version.
"""

import struct
from collections.abc import Iterable
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.domain.http import HttpRequest, HttpResult
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Outcome
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.inputs import InputFile
from mvm_ci.ports.guest import CompiledModule

MAX_FRAME: Final = 256 << 20
"""Bytes of one frame; both ends are ours, so more is a bug."""
_LENGTH: Final = struct.Struct("<I")


class Setup(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The first frame to a runner. ``place``: the worker's name, as journals record it."""

    place: str
    suspend_after_ms: int


class Task(msgspec.Struct, frozen=True, array_like=True):
    """One placement to run. ``number`` names it on these sockets; ``module``: index into ``Run.modules``."""

    number: int
    module: int
    payload: bytes
    memory_bytes: int
    placed: Placed
    attempt: int
    journal: tuple[Segment, ...]
    cancelled: bool = False
    """Its job is being cancelled: the guest may clean up."""
    ephemeral: bool = False
    """Nothing of it is durable before it ends."""
    secrets: tuple[SecretValue, ...] = ()
    inputs: tuple[InputFile, ...] = ()


class Run(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Tasks to run, all at once: each begins when those before it have had their first turn."""

    modules: tuple[CompiledModule, ...]
    tasks: tuple[Task, ...]


class Durable(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """``posts``: for each of these tasks, how many of the segments that it posted are durable."""

    posts: dict[int, int]


class HttpAnswer(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Answers ``HttpCall``."""

    call: int
    result: HttpResult


class BlobStored(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Answers ``PutBlob``."""

    call: int
    ref: BlobRef


class BlobBytes(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Answers ``GetBlob``; ``data`` is None if there is no such blob."""

    call: int
    data: bytes | None


class AskAnswer(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """Answers ``AskCall``."""

    call: int
    answer: bytes


class LeaveNow(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The task has to end with ``outcome`` (None: no report); ignored if it is over."""

    number: int
    outcome: Outcome | None


class Spooled(msgspec.Struct, frozen=True, array_like=True, tag=11, gc=False):
    """Answers ``SpoolData``."""

    call: int


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """The task's job is being cancelled: its guest is told at its next call."""

    number: int


class AreYouThere(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """Asks for ``Here``: a process that has work and says nothing may stand still."""


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=20, gc=False):
    """The runner can take tasks."""


class Post(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """The task's next entries."""

    number: int
    segment: Segment


class HttpCall(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """The guest asks for a request, and waits for the answer. ``whole``: its body is not stored."""

    number: int
    call: int
    request: HttpRequest
    idempotency_key: str
    whole: bool = False


class PutBlob(msgspec.Struct, frozen=True, array_like=True, tag=23, gc=False):
    """Store ``data``."""

    number: int
    call: int
    data: bytes


class GetBlob(msgspec.Struct, frozen=True, array_like=True, tag=24, gc=False):
    """Get the bytes of ``ref``."""

    number: int
    call: int
    ref: BlobRef


class AskCall(msgspec.Struct, frozen=True, array_like=True, tag=29, gc=False):
    """The guest asks the control plane for something; see ``ports.engine.ControlPlane.ask``."""

    number: int
    call: int
    name: str
    key: str
    argument: bytes


class Tell(msgspec.Struct, frozen=True, array_like=True, tag=30, gc=False):
    """The guest tells the control plane something; nobody waits."""

    number: int
    name: str
    argument: bytes


class SpoolData(msgspec.Struct, frozen=True, array_like=True, tag=31, gc=False):
    """The next bytes of an artifact; see ``ports.execution.ExecutionHost.spool``."""

    number: int
    call: int
    name: str
    offset: int
    data: bytes


class ReadArtifact(msgspec.Struct, frozen=True, array_like=True, tag=32, gc=False):
    """A part of an artifact; answered by ``BlobBytes``."""

    number: int
    call: int
    ref: BlobRef
    offset: int
    size: int


class Result(msgspec.Struct, frozen=True, array_like=True):
    """A task is over. ``outcome``: None if it was dropped. ``run_ns``: how long it computed.

    ``unloadable``: the compiled module could not be loaded; ``outcome`` says why.
    """

    number: int
    outcome: Outcome | None
    tail: Segment | None
    run_ns: int
    unloadable: bool = False


class Results(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """Tasks that are over, in the order in which they ended."""

    items: tuple[Result, ...]


class Sleeps(msgspec.Struct, frozen=True, array_like=True, tag=26, gc=False):
    """The task waits for a time: it does not compute until ``Awake``, or until it is over."""

    number: int


class Awake(msgspec.Struct, frozen=True, array_like=True, tag=28, gc=False):
    """The task goes on after ``Sleeps``."""

    number: int


class Here(msgspec.Struct, frozen=True, array_like=True, tag=27, gc=False):
    """Answers ``AreYouThere``."""


Question: TypeAlias = HttpCall | PutBlob | GetBlob | AskCall | SpoolData | ReadArtifact
Reply: TypeAlias = HttpAnswer | BlobStored | BlobBytes | AskAnswer | Spooled
ToRunner: TypeAlias = (
    AreYouThere
    | Setup
    | Run
    | Durable
    | HttpAnswer
    | BlobStored
    | BlobBytes
    | AskAnswer
    | Spooled
    | LeaveNow
    | Cancel
)
FromRunner: TypeAlias = (
    Here
    | Ready
    | Post
    | HttpCall
    | PutBlob
    | GetBlob
    | AskCall
    | SpoolData
    | ReadArtifact
    | Tell
    | Results
    | Sleeps
    | Awake
)

M = TypeVar("M")
_encoder: Final = msgspec.msgpack.Encoder()


def pack(messages: Iterable[msgspec.Struct]) -> bytes:
    """The frames of ``messages``."""
    parts: list[bytes] = []
    for message in messages:
        body = _encoder.encode(message)
        parts += (_LENGTH.pack(len(body)), body)
    return b"".join(parts)


class Frames(Generic[M]):
    """Bytes in, messages out."""

    __slots__ = ("_buffer", "_decoder", "_need")

    def __init__(self, decoder: "msgspec.msgpack.Decoder[M]") -> None:
        self._decoder = decoder
        self._buffer = bytearray()
        self._need = 4

    def feed(self, data: bytes) -> list[M]:
        """The messages that are whole now. Raises ``ProtocolError`` if the bytes are no frames of ours."""
        buffer = self._buffer
        buffer += data
        # A large frame arrives in many pieces: look at them again only when it can be whole.
        if len(buffer) < self._need:
            return []
        found: list[M] = []
        at = 0
        view = memoryview(buffer)
        try:
            while len(buffer) - at >= 4:
                size = _LENGTH.unpack_from(buffer, at)[0]
                if size > MAX_FRAME:
                    raise ProtocolError(f"a frame of {size} bytes between pool and runner")
                if len(buffer) - at < 4 + size:
                    self._need = 4 + size
                    break
                found.append(self._decoder.decode(view[at + 4 : at + 4 + size]))
                at += 4 + size
            else:
                self._need = 4
        except msgspec.DecodeError as error:
            raise ProtocolError(f"a frame between pool and runner cannot be read: {error}") from error
        finally:
            view.release()
        del buffer[:at]
        return found


def to_runner_frames() -> Frames[ToRunner]:
    """Reads what the pool sends."""
    return Frames(msgspec.msgpack.Decoder(ToRunner))


def from_runner_frames() -> Frames[FromRunner]:
    """Reads what a runner sends."""
    return Frames(msgspec.msgpack.Decoder(FromRunner))
