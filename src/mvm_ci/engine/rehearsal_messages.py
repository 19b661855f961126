"""What a rehearsal's child process and its parent say to each other; framed as ``engine.messages`` are."""

from typing import TypeAlias

import msgspec

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.payload import BlobRef, Payload
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.inputs import InputFile
from mvm_ci.engine.messages import Frames
from mvm_ci.lifecycle.rehearse import Verdict
from mvm_ci.ports.guest import CompiledModule


class Rehearse(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=1):
    """Run ``module`` on what ``journal`` records. ``output``: tell what the guest writes."""

    module: CompiledModule
    job: JobId
    attempt: int
    input: Payload
    journal: tuple[Segment, ...]
    memory_bytes: int
    output: bool = False
    inputs: tuple[InputFile, ...] = ()


class BlobBytes(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Answers ``GetBlob``; None: ``missing`` says why there is none."""

    data: bytes | None
    missing: str = ""


class GetBlob(msgspec.Struct, frozen=True, array_like=True, tag=20, gc=False):
    """Get the bytes of ``ref``."""

    ref: BlobRef


class Wrote(msgspec.Struct, frozen=True, array_like=True, tag=21, gc=False):
    """The guest wrote."""

    stream: str
    text: str


class CaughtUp(msgspec.Struct, frozen=True, array_like=True, tag=22, gc=False):
    """All that is recorded was repeated."""


class Decided(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """The rehearsal is over."""

    verdict: Verdict


ToChild: TypeAlias = Rehearse | BlobBytes
FromChild: TypeAlias = GetBlob | Wrote | CaughtUp | Decided


def to_child_frames() -> Frames[ToChild]:
    """Reads what the parent sends."""
    return Frames(msgspec.msgpack.Decoder(ToChild))


def from_child_frames() -> Frames[FromChild]:
    """Reads what the child sends."""
    return Frames(msgspec.msgpack.Decoder(FromChild))
