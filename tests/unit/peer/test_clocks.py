"""Whether the wall clocks of a peer and its control plane agree."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from mvm_ci.peer.session import compare_clocks


@pytest.mark.parametrize(
    ("sent", "plane", "received", "words"),
    [
        (10_000, 10_000, 10_000, ""),
        (10_000, 10_100, 19_000, ""),  # a slow answer says nothing about clocks
        (10_000, 8_001, 10_000, ""),
        (10_000, 8_000, 10_000, "2 s ahead of the control plane's"),
        (10_000, 11_999, 10_000, ""),
        (10_000, 12_000, 10_000, "2 s behind the control plane's"),
        (0, 3_600_000, 4_000, "3596 s behind"),
    ],
)
def test_a_difference_is_told_from_two_seconds_on(sent: int, plane: int, received: int, words: str) -> None:
    with capture_logs() as said:
        compare_clocks(sent, plane, received)
    assert [one["event"] for one in said] == ["clocks_differ"] * bool(words)
    assert all(words in one["error"] for one in said)
