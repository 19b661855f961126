"""Output and results: too much, in strange bytes, or no text at all."""

import json
from typing import Final

import pytest

from mvm_ci.domain.outcome import Completed
from mvm_ci.domain.payload import BlobRef
from mvm_ci.journal.entries import Logged
from tests.hostile.binaries import COUNTER, component, core, loop, returned
from tests.hostile.rig import Rig, reason, result

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGES: Final = 1025
"""A little more than 64 MiB."""
FILLED: Final = "(memory.fill (i32.const 0) (i32.const 102) (i32.const 0x4000000))"
MUCH: Final = "the guest wrote more than 16777216 bytes of output"
TOO_MUCH_AT_ONCE: Final = "the guest wrote 67108864 bytes at once; at most 16777216 are allowed"


def logged(rig: Rig, stream: str) -> str:
    """What the job that was placed first of the last five has written: those after it are neighbours."""
    job = max(placed.job for placed in rig.events.ends) - 2
    placed = next(one for one in rig.events.ends if one.job == job)
    entries = rig.journal.entries(placed.job, rig.events.ends[placed].tail)
    return "".join(entry.text for entry in entries if isinstance(entry, Logged) and entry.stream == stream)


# ---------------------------------------------------------------- floods


@pytest.mark.ends("output-limit")
async def test_a_guest_writes_a_gigabyte(rig: Rig) -> None:
    floods = core(
        FILLED + loop(16_384, "(call $log (i32.const 0) (i32.const 65536))"),
        "log",
        pages=PAGES,
        variables=COUNTER,
    )
    assert reason(await rig.run(floods)) == MUCH
    assert reason(await rig.run_python("flood", 1_000_000)) == MUCH


@pytest.mark.ends("output-limit")
async def test_a_guest_writes_64_mb_at_once(rig: Rig) -> None:
    at_once = core(FILLED + "(call $log (i32.const 0) (i32.const 0x4000000))", "log", pages=PAGES)
    assert reason(await rig.run(at_once)) == TOO_MUCH_AT_ONCE
    buffer = "(i32.store (i32.const 8) (i32.const 0)) (i32.store (i32.const 12) (i32.const 0x4000000))"
    again = (
        FILLED
        + buffer
        + loop(64, "(drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))")
    )
    assert reason(await rig.run(core(again, "fd_write", pages=PAGES, variables=COUNTER))) == MUCH


@pytest.mark.ends("output-limit")
async def test_a_guest_writes_what_grows_when_it_is_made_text(rig: Rig) -> None:
    # Each byte that is no text becomes a character of three bytes.
    bad = "(memory.fill (i32.const 0) (i32.const 255) (i32.const 0x4000000))"
    writes = core(bad + "(call $log (i32.const 0) (i32.const 0x1000000))", "log", pages=PAGES)
    assert reason(await rig.run(writes)) == MUCH


@pytest.mark.ends("journal-limit", "output-limit")
async def test_a_guest_writes_a_million_single_bytes(rig: Rig) -> None:
    writes = core(loop(1_000_000, "(call $log (i32.const 0) (i32.const 1))"), "log", variables=COUNTER)
    assert "100000 entries" in reason(await rig.run(writes))


@pytest.mark.ends("completed")
async def test_a_guest_writes_nothing_a_million_times(rig: Rig) -> None:
    writes = core(loop(1_000_000, "(call $log (i32.const 0) (i32.const 0))"), "log", variables=COUNTER)
    await rig.run(writes)


# ---------------------------------------------------------------- strange text


@pytest.mark.ends("completed")
async def test_a_guest_writes_bytes_that_are_no_text(rig: Rig) -> None:
    strange = bytes(range(256)) + b"\xed\xa0\x80" + "grüße 😀".encode() + b"\xf0\x9f\0\xff\xfe"
    hexadecimal = "".join(f"\\{byte:02x}" for byte in strange)
    data = f'(data (i32.const 0) "{hexadecimal}")'
    await rig.run(core(f"(call $log (i32.const 0) (i32.const {len(strange)}))", "log", more=data))
    assert logged(rig, "log") == strange.decode(errors="replace")
    await rig.run_python("write_bytes", strange.hex())
    assert logged(rig, "stdout") == strange.decode(errors="replace")


@pytest.mark.ends("completed")
async def test_a_guest_writes_zeros_surrogates_and_orders_for_a_terminal(rig: Rig) -> None:
    text = "\0\0a\ud800b\x1b[2J\x1b]0;title\x07\r\n\u202e\ufeff\uffff"
    await rig.run_python("write", text)
    assert logged(rig, "stdout") == text.replace("\ud800", "\\ud800")


@pytest.mark.ends("completed")
async def test_a_character_is_spread_over_many_writes_or_never_finished(rig: Rig) -> None:
    bytes_ = "".join(f"\\{byte:02x}" for byte in "€".encode())
    one = "(call $log (i32.const {}) (i32.const 1))"
    writes = one.format(0) + one.format(1) + one.format(2) + one.format(0)
    await rig.run(core(writes, "log", more=f'(data (i32.const 0) "{bytes_}")'))
    assert logged(rig, "log") == "€\ufffd"


# ---------------------------------------------------------------- results


@pytest.mark.ends("output-limit")
async def test_a_result_is_too_large(rig: Rig) -> None:
    over = (4 << 20) + 1
    outcomes = await rig.run_all(
        core(f"(call $output (i32.const 0) (i32.const {over}))", "output", pages=PAGES),
        core("(call $output (i32.const 0) (i32.const 0x4000000))", "output", pages=PAGES),
        component(returned(0, over), pages=PAGES),
        component(returned(0, 100 << 20), pages=1700),
        component(returned(0, 100 << 20, tag=1), pages=1700),
    )
    assert (
        reason(outcomes[0])
        == reason(outcomes[2])
        == f"the result has {over} bytes; at most 4194304 are allowed"
    )
    await rig.run_python("nothing_but_zeros", 1 << 20)


@pytest.mark.ends("completed")
async def test_a_result_is_as_large_as_one_may_be(rig: Rig) -> None:
    most = 4 << 20
    for module in (
        core(f"(call $output (i32.const 0) (i32.const {most}))", "output", pages=PAGES),
        component(returned(64, most), pages=PAGES),
    ):
        outcome = await rig.run(module)
        assert isinstance(outcome, Completed)
        assert isinstance(outcome.result, BlobRef)
        assert outcome.result.size == most


@pytest.mark.ends("completed")
async def test_a_result_is_no_json_and_no_text(rig: Rig) -> None:
    strange = bytes(range(256))
    data = '(data (i32.const 0) "' + "".join(f"\\{byte:02x}" for byte in strange) + '")'
    module = core("(call $output (i32.const 0) (i32.const 256))", "output", more=data)
    # Of a module in C it may be anything; a component's is text.
    assert result(await rig.run(module)) == strange
    assert result(await rig.run(component(returned(64, 3)))) == b"\0\0\0"


@pytest.mark.ends("error")
async def test_a_guest_in_python_returns_what_is_no_json(rig: Rig) -> None:
    for do in ("not_json", "not_a_number"):
        assert reason(await rig.run_python(do)).startswith("the result of run() is not JSON: ")


@pytest.mark.ends("trap")
async def test_a_guest_in_python_reads_or_returns_what_is_nested_too_deep(rig: Rig) -> None:
    deep = await rig.payloads.put(b"[" * 100_000 + b"]" * 100_000)
    await rig.run(rig.python, deep)
    await rig.run_python("nested", 100_000)


@pytest.mark.ends("completed")
async def test_a_guest_in_python_returns_a_surrogate(rig: Rig) -> None:
    assert json.loads(result(await rig.run_python("surrogate"))) == "\ud800"


@pytest.mark.ends("error")
async def test_the_input_is_no_json(rig: Rig) -> None:
    for given in (b"{", b"\xff", b"\0"):
        assert reason(await rig.run(rig.python, given)).startswith("the input is not ")


@pytest.mark.ends("error")
async def test_an_error_is_long(rig: Rig) -> None:
    assert len(reason(await rig.run_python("fail_at_length", 1 << 20))) < 4_096
    fails = core("(call $fail (i32.const 0) (i32.const 0x4000000))", "fail", pages=PAGES)
    assert len(reason(await rig.run(fails))) < 4_096
    long = component(returned(64, 1 << 20, tag=1), pages=PAGES)
    assert len(reason(await rig.run(long))) < 4_096


@pytest.mark.ends("error", "trap")
async def test_a_guest_ends_in_the_middle(rig: Rig) -> None:
    assert reason(await rig.run_python("exit_hard", 3)) == "exit code 1"
    await rig.run_python("abort")
    leaves = core("(call $proc_exit (i32.const -1))", "proc_exit")
    assert reason(await rig.run(leaves)) == "exit code 4294967295"
