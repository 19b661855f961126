"""Machines to ask: fresh ones, and ones with a journal."""

from mvm_ci.domain.http import HttpRequest, HttpResponse
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.journal.codec import decode
from mvm_ci.journal.entries import (
    FORMAT_VERSION,
    Began,
    Entry,
    Placement,
)
from mvm_ci.journal.replay import Replay
from mvm_ci.journal.steps import Identity, JournalLimits

T0 = 1_700_000_000_000_000_000
S = 1_000_000_000
SEED = bytes(range(32))
WHO = Identity(
    job=JobId(1_700_000_000_000 << 20), attempt=2, module=Digest("0d" * 32), input=Digest("1e" * 32)
)
FIRST, SECOND = Placement(1, "a", 5), Placement(2, "b", 6)
BEGAN = Began(FORMAT_VERSION, WHO.module, WHO.input, SEED, T0)
GET = HttpRequest("GET", "https://x/", (), b"", 1000, idempotent=True)
POST = HttpRequest("POST", "https://x/", (("a", "b"),), b"{}", 1000, idempotent=False)
OK = HttpResponse(200, "https://x/", (), b"ok")


def fresh(limits: JournalLimits | None = None) -> Replay:
    return Replay.begin(WHO, FIRST, limits or JournalLimits(), seed=SEED, now_ns=T0)


def resumed(*entries: Entry, limits: JournalLimits | None = None) -> Replay:
    recorded = [BEGAN, FIRST, *entries]
    return Replay.resume(WHO, SECOND, limits or JournalLimits(), recorded=recorded, recorded_bytes=0)


def new(machine: Replay) -> list[Entry]:
    """The entries that the machine hands out now."""
    segments = machine.take()
    return [entry for s in segments for entry in decode([type(s)(0, s.count, s.data)])]


def recorded(machine: Replay) -> list[Entry]:
    """The calls in a fresh machine's journal."""
    began, placed, *calls = new(machine)
    assert (began, placed) == (BEGAN, FIRST)
    return calls
