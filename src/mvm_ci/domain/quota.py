"""What a namespace may hold at most."""

from collections.abc import Mapping

import msgspec

from mvm_ci.domain.errors import QuotaExceeded


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a namespace; None: none."""

    max_waiting: int | None = None
    """Jobs that have not ended and are at no worker."""
    max_running: int | None = None
    """Jobs at workers at once. More are never refused: they wait."""
    max_bytes: int | None = None
    """Stored bytes of the inputs and results of its jobs, as ``JobQueue.stored`` counts them, of its modules,
    and of artifacts and uploads.
    """


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a namespace holds, or what a request would add to it."""

    waiting: int = 0
    stored: int = 0
    """Bytes."""


def check(namespace: str, quota: Quota, usage: Usage, asked: Usage) -> None:
    """Raises ``QuotaExceeded``, naming the quota, if ``asked`` on top of ``usage`` is over it.

    What is asked for nothing of is not looked at: a namespace that is over one quota may use the others.
    """
    for name, most, used, more in (
        ("max_waiting", quota.max_waiting, usage.waiting, asked.waiting),
        ("max_bytes", quota.max_bytes, usage.stored, asked.stored),
    ):
        if most is not None and more > 0 and used + more > most:
            raise QuotaExceeded(
                f"namespace {namespace}: {used} used and {more} asked for are over its {name} of {most}"
            )


def running_limits(quotas: Mapping[str, Quota]) -> dict[str, int]:
    """How many jobs of each namespace may be at workers at once; no limit for the others."""
    return {
        namespace: quota.max_running for namespace, quota in quotas.items() if quota.max_running is not None
    }
