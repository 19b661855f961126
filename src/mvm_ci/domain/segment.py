"""Pieces of a journal on their way, and what becomes of them."""

from enum import StrEnum

import msgspec

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.ids import JobId


class Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Consecutive journal entries of one execution, encoded by ``mvm_ci.journal.codec``.

    ``first``: index of the first entry; ``count``: how many; ``data``: at most 256 KiB.
    ``taken``: numbers of the mail that its entries take: with them it is the job's for good.
    """

    first: int
    count: int
    data: bytes
    taken: tuple[int, ...] = ()


class Append(StrEnum):
    """What became of a journal append."""

    DONE = "done"  # durable; also for an exact repetition of what is already there
    STALE = "stale"  # another placement owns the execution, or the job has ended: stop
    GAP = "gap"  # the first index is not the journal's end: a bug or a damaged sender; nothing was written


class Prefix(msgspec.Struct, frozen=True, kw_only=True):
    """The first ``length`` entries of the journal of an ``attempt`` of ``job``: its segments that lie between
    the entries ``begin`` and ``end``, and ``others``, which hold the entries before and behind these.
    ``artifacts``: what these entries put, as far as the job still has it.
    """

    job: JobId
    attempt: int
    length: int
    begin: int
    end: int
    others: tuple[Segment, ...]
    artifacts: tuple[Artifact, ...] = ()
