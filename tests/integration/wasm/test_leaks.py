"""Every way a run can end frees what it took from the engine."""

import gc
from collections.abc import Callable

import pytest

from mvm_ci.domain.http import HttpResponse
from mvm_ci.ports.guest import GuestFailed, GuestLimits, Unwind
from mvm_ci.testing.memory import rollup_kb
from tests.integration.wasm.fakes import FakeHost, OnlyGuest
from tests.integration.wasm.test_unwind import Left, job, suspended

LIMITS = GuestLimits(memory_bytes=64 << 20)
ANSWER = HttpResponse(status=200, url="http://a/", headers=(), body=b"x" * 10_000)
HTTP = b'{"url": "http://a/"}'


def grown_kb(run: Callable[[], object], warm: int, count: int) -> int:
    """By how much the process grew in ``count`` runs, after ``warm`` ones; the least of three times: what
    leaks does so each time, and what a process with other tests behind it does besides does not.
    """
    gc.collect()
    # An exception and its frames hold each other. In a large process they would be collected rarely, and what
    # they take meanwhile would count.
    gc.freeze()
    try:
        for _ in range(warm):
            run()
        found = []
        for _ in range(3):
            gc.collect()
            before = rollup_kb("self", "Anonymous")
            for _ in range(count):
                run()
            gc.collect()
            found.append(rollup_kb("self", "Anonymous") - before)
    finally:
        gc.unfreeze()
    return min(found)


def ends(guest: OnlyGuest, payload: bytes, host: FakeHost, *errors: type[BaseException]) -> None:
    try:
        guest.run(payload, host, LIMITS)
    except errors:
        return
    assert not errors, "it ended well"


def dropped(guest: OnlyGuest, payload: bytes) -> None:
    suspended((guest, payload)).close()


CORE: dict[str, Callable[[OnlyGuest], None]] = {
    "returns": lambda guest: ends(guest, b"O", FakeHost()),
    "calls": lambda guest: ends(guest, b"c", FakeHost()),
    "fetches": lambda guest: ends(guest, b"h" + HTTP, FakeHost(answers={"http://a/": ANSWER})),
    "traps": lambda guest: ends(guest, b"u", FakeHost(), GuestFailed),
    "is unwound": lambda guest: ends(guest, b"c", FakeHost(raises={"random": Left("x")}), Unwind),
    "is dropped": lambda guest: dropped(guest, b"s"),
}
PYTHON: dict[str, Callable[[OnlyGuest], None]] = {
    "returns": lambda guest: ends(guest, job("echo", "x" * 10_000), FakeHost()),
    "sleeps": lambda guest: ends(guest, job("sleep", 5), FakeHost()),
    "fetches": lambda guest: ends(
        guest, job("fetch", {"url": "http://a/"}), FakeHost(answers={"http://a/": ANSWER})
    ),
    "fails": lambda guest: ends(guest, job("fails"), FakeHost(), GuestFailed),
    "is unwound": lambda guest: ends(
        guest, job("effects"), FakeHost(raises={"wall_clock_ns": Left("x")}), Unwind
    ),
    "is dropped": lambda guest: dropped(guest, job("sleep", 5)),
    "writes": lambda guest: ends(guest, job("writes", 1_000_000), FakeHost()),
}
FILES: dict[str, Callable[[OnlyGuest], None]] = {
    "returns": lambda guest: ends(guest, b"ordinary", FakeHost()),
    "leaves all open": lambda guest: ends(guest, b"\n".join([b"open 3 0 x 1 66 0"] * 100), FakeHost()),
    "is dropped": lambda guest: dropped(guest, b"sleeps"),
}


@pytest.mark.parametrize("way", CORE)
def test_a_core_guest_leaves_nothing(probe: OnlyGuest, way: str) -> None:
    # A store, a fiber or a trap with its frames is more than 1 KB in each run.
    assert grown_kb(lambda: CORE[way](probe), warm=500, count=2_000) < 2_000


@pytest.mark.parametrize("way", FILES)
def test_files_leave_nothing(filer: OnlyGuest, way: str) -> None:
    assert grown_kb(lambda: FILES[way](filer), warm=50, count=200) < 1_000


@pytest.mark.parametrize("way", PYTHON)
def test_a_python_guest_leaves_nothing(everything: OnlyGuest, way: str) -> None:
    # What one of them holds while it runs is a thousand times as much.
    assert grown_kb(lambda: PYTHON[way](everything), warm=50, count=100) < 1_000
