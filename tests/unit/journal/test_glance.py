"""Entries at a glance."""

from typing import get_args

import pytest

from mvm_ci.domain.http import HttpFailure, HttpResponse
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.domain.payload import BlobRef
from mvm_ci.journal import glance as module
from mvm_ci.journal.describe import describe
from mvm_ci.journal.entries import (
    ClockRead,
    Entry,
    Finished,
    HttpDone,
    HttpIntent,
    Logged,
    Memoized,
    Placement,
    Slept,
)
from mvm_ci.journal.glance import LONGEST, Glance, glance
from tests.unit.journal.machines import BEGAN, T0, S

DIGEST = Digest("0d" * 32)
T0_MS = T0 // 10**6
DONE = HttpDone(DIGEST, "GET https://x/", HttpResponse(200, "", (), b"four"), T0_MS, T0_MS + 20)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (BEGAN, Glance("module 0d0d0d0d0d0d input 1e1e1e1e1e1e", "format 3", T0_MS)),
        (ClockRead(wall=True, value_ns=T0 + S), Glance("wall", f"{(T0 + S) / S:.3f} s", T0_MS + 1_000)),
        (ClockRead(wall=False, value_ns=S), Glance("monotonic", "1.000 s", T0_MS + 1_000)),
        (Slept(3 * S, 2 * S), Glance("2.000 s", "until 3.000 s", T0_MS + 1_000)),
        (Slept(3 * S, None), Glance("until 3.000 s", "", None)),
        (Logged("log", "a\n  b", 7), Glance("log: a b", "", 7)),
        (HttpIntent(DIGEST, "POST https://x/"), Glance("POST https://x/", "", None)),
        (DONE, Glance("GET https://x/", "200, 4 bytes, 20 ms", T0_MS + 20)),
        (
            HttpDone(DIGEST, "GET x", HttpResponse(200, "", (), BlobRef(DIGEST, 9_000)), 5, 6),
            Glance("GET x", "200, 9000 bytes, 1 ms", 6),
        ),
        (HttpDone(DIGEST, "GET x", HttpFailure("dns", "no"), 5, 6), Glance("GET x", "dns: no", 6)),
        (Finished(b'{"a": 1}', None), Glance("result", '{"a": 1}', None)),
        (Finished(b"\xff", None), Glance("result", "1 bytes", None)),
        (
            Finished(None, Failure(kind=FailureKind.TRAP, message="unreachable")),
            Glance("failure trap", "unreachable", None),
        ),
        (Placement(2, "there", 9), Glance("2 on there", "", 9)),
        (Memoized("pi", b"3.1", 0, 0, 0, S), Glance("pi", "3.1", T0_MS + 1_000)),
        (Memoized("pi", None, 0, 0, 0, 0), Glance("pi", "given up", T0_MS)),
    ],
)
def test_an_entry_says_when_what_and_what_it_was_told(entry: Entry, expected: Glance) -> None:
    assert glance(entry, T0) == expected


def test_what_is_long_is_cut() -> None:
    found = glance(Logged("log", "x" * 5_000, 7), T0)
    assert len(found.what) == LONGEST
    assert found.what.endswith("x…")


def test_a_kind_that_nobody_wrote_a_line_for_is_shown_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GLANCES", {})
    assert glance(DONE, T0) == Glance(describe(DONE), "", DONE.ended_ms)


def test_every_kind_can_be_shown() -> None:
    assert set(module._GLANCES) <= set(get_args(Entry))
