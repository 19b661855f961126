"""The job store's side of retention: batches of jobs that are over, and what the jobs that are kept refer to.

Every call looks at no more than ``limit`` jobs, in the order of their ids, and says where the next call goes
on: ``last``, or None if there are no more. So a call is short, however many jobs there are. Errors of the
store itself are ``Unavailable``. As with ``JobQueue``, the call itself takes its place among the writes.
"""

from collections.abc import Awaitable
from collections.abc import Set as AbstractSet
from typing import Protocol

import msgspec

from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.retention import Bounds, FinishedJob
from mvm_ci.ports.catalogue import Holding


class FinishedPage(msgspec.Struct, frozen=True):
    """Jobs that are over, newest first."""

    jobs: tuple[FinishedJob, ...]
    last: JobId | None


class Removal(msgspec.Struct, frozen=True):
    """How many jobs of a batch are gone, or have lost what was to be removed."""

    removed: int
    last: JobId | None


class References(msgspec.Struct, frozen=True):
    """Which of the digests asked for a batch of jobs refers to. ``modules``: those that jobs are of, with the
    jobs' namespaces.
    """

    found: frozenset[Digest]
    last: JobId | None
    modules: frozenset[Holding] = frozenset()


class RetainedJobs(Protocol):
    """See the module's docstring."""

    def finished(self, before: JobId | None, limit: int) -> Awaitable[FinishedPage]:
        """Those of the ``limit`` newest jobs with ids below ``before`` (all if None) that are over."""
        ...

    def remove_finished(self, after: JobId, bounds: Bounds, limit: int) -> Awaitable[Removal]:
        """Removes what is within ``bounds`` among the ``limit`` oldest jobs with ids above ``after``.

        With it go its journals and all else that is kept about it, durably and together. A job that is not
        over is never removed, nor one that such a job waits for, nor the parent of one.
        """
        ...

    def remove_journals(self, after: JobId, bounds: Bounds, limit: int) -> Awaitable[Removal]:
        """Removes the journals, of all attempts, of what is within ``bounds`` among the ``limit`` oldest jobs
        with ids above ``after``; the jobs stay. Counts jobs that had one.

        A dead job keeps its journal: revived, it goes on by it.
        """
        ...

    def remove_artifacts(self, after: JobId, bounds: Bounds, limit: int) -> Awaitable[Removal]:
        """The same for the artifacts that jobs put; what they were given stays. Counts jobs that had some.

        A dead job keeps its artifacts, as it keeps its journal.
        """
        ...

    def forget_keys(self, after: JobId, bounds: Bounds, limit: int) -> Awaitable[Removal]:
        """The same for idempotency keys, of dead jobs, too: from then on the key makes a new job."""
        ...

    def references(self, after: JobId, among: AbstractSet[Digest], limit: int) -> Awaitable[References]:
        """Which digests of ``among`` the ``limit`` oldest jobs with ids above ``after`` refer to.

        As module, input, result, in mail that waits for them, or in their journals, where whatever looks like
        a digest counts.
        """
        ...
