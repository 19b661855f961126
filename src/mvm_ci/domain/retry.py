"""When a failed job is tried again: pure, with time and chance handed in."""

from typing import Final

import msgspec

from mvm_ci.domain.outcome import FailureKind

NEVER_RETRIED: Final = frozenset(
    {FailureKind.MODULE, FailureKind.NONDETERMINISM, FailureKind.EXPIRED, FailureKind.DEADLINE}
)
"""Failures that a further attempt can only repeat."""


class Retry(msgspec.Struct, frozen=True):
    """The next attempt may begin at ``at_ms`` (Unix milliseconds)."""

    at_ms: int


class Backoff(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The pause after the n-th failure is ``base_ms`` x ``factor``^(n-1), at most ``longest_ms``.

    Half of the pause is chance, so that jobs that failed together do not come back together. ``kinds``:
    retry these failures only; empty: all of which a further attempt can end otherwise.
    """

    base_ms: int = 1_000
    longest_ms: int = 300_000
    factor: float = 2.0
    kinds: tuple[FailureKind, ...] = ()

    def pause_ms(self, attempt: int, jitter: float) -> int:
        """The pause after attempt number ``attempt`` (from 1). ``jitter``: at least 0 and below 1."""
        try:
            pause = min(int(self.base_ms * self.factor ** (attempt - 1)), self.longest_ms)
        except OverflowError:
            pause = self.longest_ms
        return pause // 2 + int(pause / 2 * jitter)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """At most ``max_attempts`` attempts, with pauses between them."""

    max_attempts: int = 1
    backoff: Backoff = Backoff()

    def decide(self, kind: FailureKind, attempt: int, now_ms: int, jitter: float) -> Retry | None:
        """What follows the failure of attempt number ``attempt`` (from 1); None: give up.

        ``jitter``: a random number, at least 0 and below 1.
        """
        if kind in NEVER_RETRIED or attempt >= self.max_attempts:
            return None
        if self.backoff.kinds and kind not in self.backoff.kinds:
            return None
        return Retry(now_ms + self.backoff.pause_ms(attempt, jitter))
