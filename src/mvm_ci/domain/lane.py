"""Lanes: ready jobs that a scheduler need not tell apart, in the order of their ids.

All that decides whether and when a job may be claimed is its lane's: namespace, queue, priority, the labels a
worker must have, the key among which the turns are shared fairly, the concurrency key. So the store needs to
know numbers only, and the policy is pure (``mvm_ci.domain.scheduler``).

A lane's number is a hash of what it stands for, so every process finds the same one. It is even; the odd
number after it is the same lane for jobs that hold their concurrency slot already, because their attempt has
begun: they were suspended or lost, and go before those that have not begun.
"""

from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from mvm_ci.domain.namespace import DEFAULT_NAMESPACE

DEFAULT_QUEUE: Final = "default"
LOWEST_PRIORITY: Final = 0
DEFAULT_PRIORITY: Final = 5
HIGHEST_PRIORITY: Final = 9


class Excess(StrEnum):
    """What becomes of jobs of one concurrency key beyond its limit."""

    WAIT = "wait"  # the newer ones wait
    CANCEL_OLDER = "cancel-older"  # the oldest ones are cancelled


class Concurrency(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """At most ``limit`` jobs of this key (in one namespace) between the start and the end of an attempt, and
    at most ``starts`` attempts begun in ``per_ms`` milliseconds. None: no such limit.
    """

    key: str
    limit: int | None = 1
    starts: int | None = None
    per_ms: int = 1_000
    excess: Excess = Excess.WAIT


Labels = tuple[tuple[str, str], ...]
"""Label and value, sorted; a worker must have them all."""


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """See the module's docstring. Make it by ``lane``, which gives it its number."""

    namespace: str
    queue: str
    priority: int
    labels: Labels
    fairness_key: str
    concurrency: Concurrency | None
    id: int


@lru_cache(maxsize=4096)
def lane(
    namespace: str = DEFAULT_NAMESPACE,
    queue: str = DEFAULT_QUEUE,
    priority: int = DEFAULT_PRIORITY,
    labels: Labels = (),
    fairness_key: str = "",
    concurrency: Concurrency | None = None,
) -> Lane:
    """The lane of all jobs with these properties."""
    identity = msgspec.msgpack.encode((namespace, queue, priority, labels, fairness_key, concurrency))
    number = int.from_bytes(blake2b(identity, digest_size=8).digest(), "big") >> 2 << 1
    return Lane(
        namespace=namespace,
        queue=queue,
        priority=priority,
        labels=labels,
        fairness_key=fairness_key,
        concurrency=concurrency,
        id=number,
    )


def begun(lane_id: int) -> int:
    """The lane of jobs whose attempt has begun."""
    return lane_id | 1


def has_begun(lane_id: int) -> bool:
    """Whether the jobs of this lane have begun their attempt."""
    return lane_id & 1 == 1
