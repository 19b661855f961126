"""When a failed job is tried again: pure, with time and chance handed in."""

from typing import Final

import msgspec

from mvm_ci.domain.outcome import FailureKind

NEVER_RETRIED: Final = frozenset({FailureKind.MODULE, FailureKind.NONDETERMINISM})
"""Failures that a further attempt can only repeat."""
_MAX_DOUBLINGS: Final = 62


class Retry(msgspec.Struct, frozen=True):
    """The next attempt may begin at ``at_ms`` (Unix milliseconds)."""

    at_ms: int


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """At most ``max_attempts`` attempts; the pause after the n-th failure is ``base_ms`` x 2^(n-1), at
    most ``longest_ms``.

    Half of the pause is chance, so that jobs that failed together do not come back together.
    """

    max_attempts: int = 1
    base_ms: int = 1_000
    longest_ms: int = 300_000

    def decide(self, kind: FailureKind, attempt: int, now_ms: int, jitter: float) -> Retry | None:
        """What follows the failure of attempt number ``attempt`` (from 1); None: give up.

        ``jitter``: a random number, at least 0 and below 1.
        """
        if kind in NEVER_RETRIED or attempt >= self.max_attempts:
            return None
        pause = min(self.base_ms << min(attempt - 1, _MAX_DOUBLINGS), self.longest_ms)
        return Retry(now_ms + pause // 2 + int(pause / 2 * jitter))
