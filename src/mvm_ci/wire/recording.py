"""A recording: what a replay elsewhere needs of one attempt of a job, but for its module and large payloads.

Frames (``mvm_ci.wire.frames``): a ``RecordedJob``, a ``RecordedSegment`` for each segment as it is stored, a
``RecordedEnd``: a recording without it broke off.
"""

from typing import NamedTuple, TypeAlias

import msgspec

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.errors import ProtocolError
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.payload import Payload
from mvm_ci.domain.segment import Segment
from mvm_ci.wire.frames import FrameReader


class RecordedJob(msgspec.Struct, frozen=True, array_like=True, tag=60):
    """The attempt. ``length``: entries of its journal; None: of an earlier attempt, whose nobody counts."""

    job: JobId
    attempt: int
    module: Digest
    input: Payload
    memory_bytes: int
    timeout_ms: int
    length: int | None
    inputs: tuple[Artifact, ...] = ()


class RecordedSegment(msgspec.Struct, frozen=True, array_like=True, tag=61):
    """The next segment of its journal."""

    segment: Segment


class RecordedEnd(msgspec.Struct, frozen=True, array_like=True, tag=62, gc=False):
    """There are no more."""


RecordingFrame: TypeAlias = RecordedJob | RecordedSegment | RecordedEnd


class Recording(NamedTuple):
    """See the module's docstring. ``segments``: as they are stored, damage included."""

    job: RecordedJob
    segments: tuple[Segment, ...]


def decode_recording(data: bytes) -> Recording:
    """Raises ``ProtocolError`` for anything else, and if it broke off."""
    reader = FrameReader[RecordingFrame](RecordingFrame)
    frames = reader.feed(data)
    if len(frames) < 2 or reader.partial:
        raise ProtocolError("a recording of a job that breaks off")
    job, *middle, end = frames
    segments = tuple(frame.segment for frame in middle if isinstance(frame, RecordedSegment))
    if not isinstance(job, RecordedJob) or not isinstance(end, RecordedEnd) or len(segments) != len(middle):
        raise ProtocolError("a recording of a job that breaks off")
    return Recording(job, segments)
