"""Host calls with arguments that no honest guest gives, or far too often."""

from typing import Any, Final

import pytest

from mvm_ci.domain.outcome import Suspended
from tests.hostile.binaries import COUNTER, component, core, loop, returned, with_host, with_one
from tests.hostile.rig import Rig, reason, result

pytestmark = pytest.mark.asyncio(loop_scope="module")
END: Final = 65536
"""Of a memory of one page."""
LOG: Final = "(call $log (i32.const {0}) (i32.const {1}))"


# ---------------------------------------------------------------- pointers and lengths


@pytest.mark.ends("completed")
async def test_pointers_up_to_the_last_byte(rig: Rig) -> None:
    reaches = (
        LOG.format(END - 1, 1)
        + LOG.format(END, 0)
        + f"(drop (call $input_read (i32.const {END - 3}) (i32.const 0) (i32.const 3)))"
        f"(drop (call $random_get (i32.const {END - 4}) (i32.const 4)))"
        f"(drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const {END - 8})))"
        f"(call $output (i32.const {END - 2}) (i32.const 2))"
    )
    imports = ("log", "input_read", "random_get", "clock_time_get", "output")
    assert len(result(await rig.run(core(reaches, *imports), b"abc"))) == 2
    end = 20 * END
    assert result(await rig.run(component(returned(end - 1, 1)))) == b"\0"


BAD: Final[dict[str, list[tuple[int, ...]]]] = {
    "log": [(END - 1, 2), (END, 1), (-1, 1), (-1, -1), (0, END + 1), (1, -1), (END + 1, 0)],
    "output": [(END - 1, 2), (-16, 64)],
    "fail": [(END - 1, 2), (0, -1), (-16, 64)],
    "http": [(END - 1, 2), (-16, 64)],
    "input_read": [(END - 1, 0, 2), (-2, 0, 3)],
    "call": [(END - 1, 2, 0, 0), (0, 1, END - 1, 2), (-1, 1, 0, 0)],
    "random_get": [(END - 1, 2), (-4, 8)],
    "clock_time_get": [(0, 0, END - 7), (0, 0, -4)],
    "fd_write": [(1, END - 7, 1, 0), (1, -8, 1, 0), (1, 0, 1, END - 3), (1, 1024, 1, 0)],
    "poll_oneoff": [(END - 47, 0, 1, 0), (0, END - 31, 1, 0), (0, 64, 1, END - 3)],
}


@pytest.mark.ends("trap")
@pytest.mark.parametrize("function", BAD)
async def test_pointers_out_of_bounds_and_lengths_that_lie(rig: Rig, function: str) -> None:
    # Where a list of buffers is looked for at 1024, there is one whose length is a lie.
    lie = "(i32.store (i32.const 1024) (i32.const 8)) (i32.store (i32.const 1028) (i32.const -1))"
    kinds = {"clock_time_get": "i32 i64 i32"}.get(function, "i32 i32 i32 i32").split()
    drops = "" if function in ("log", "output", "fail") else "(drop {})"
    modules = []
    for values in BAD[function]:
        given = " ".join(f"({kind}.const {value})" for kind, value in zip(kinds, values, strict=False))
        call = f"(call ${function} {given})"
        modules.append(core(f"{lie} {drops.format(call) if drops else call}", function))
    for outcome in await rig.run_all(*modules, given=b"abc"):
        assert reason(outcome).startswith("host call with a bad pointer: bytes ")


@pytest.mark.ends("trap")
async def test_a_component_hands_over_what_is_no_string(rig: Rig) -> None:
    def asks(pointer: int, size: int) -> bytes:
        return with_host(f"i32.const {pointer} i32.const {size} i32.const 16 call $http {returned()}")

    bad = "(i32.store (i32.const 64) (i32.const -1)) "
    surrogate = "(i32.store (i32.const 64) (i32.const 0x80a0ed)) "
    await rig.run_all(
        asks(64, -1),
        asks(-1, 2),
        asks(20 * END - 1, 2),
        with_host(f"{bad} i32.const 64 i32.const 4 i32.const 16 call $http {returned()}"),
        with_host(f"{surrogate} i32.const 64 i32.const 3 i32.const 16 call $http {returned()}"),
        with_host(f"i32.const 0 i32.const 2 i32.const -4 call $http {returned()}"),
        with_host(f"i32.const 0 i32.const 2 i32.const 17 call $http {returned()}"),
        with_host(f"i32.const 0 i32.const 2 i32.const 16 call $http {returned()}", realloc="i32.const -1"),
        with_host(f"i32.const 0 i32.const 2 i32.const 16 call $http {returned()}", realloc="unreachable"),
        component(returned(-1, 2)),
        component(returned(64, 1 << 30)),
        component(returned(tag=7)),
        component("i32.const 17"),
        component("i32.const -4"),
        component(bad + returned(64, 4)),
        component(surrogate + returned(64, 3)),
    )


@pytest.mark.ends("completed")
async def test_a_list_of_buffers_is_many_times_the_memory(rig: Rig) -> None:
    # 1,024 buffers of 64 MB each: as much is written as one write takes, and the guest is told how much.
    entry = "(i32.wrap_i64 (i64.mul (local.get $i) (i64.const 8)))"
    writes = (
        loop(1024, f"(i32.store offset=4 {entry} (i32.const 0x4000000))")
        + "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1024) (i32.const 9000)))"
        "(call $output (i32.const 9000) (i32.const 4))"
    )
    module = core(writes, "fd_write", "output", pages=1025, variables=COUNTER)
    assert int.from_bytes(result(await rig.run(module)), "little") == 1 << 20


@pytest.mark.ends("completed")
async def test_more_of_something_than_there_is(rig: Rig) -> None:
    # More randomness, buffers and events at once than are given: the guest is told so.
    calls = (
        ("random_get", (64, 0x100001), 28),
        ("fd_write", (1, 64, 1025, 8), 28),
        ("poll_oneoff", (64, 64, 0, 8), 28),
        ("poll_oneoff", (64, 64, -1, 8), 28),
        ("fd_write", (-1, 64, 1, 8), 8),
    )
    said = f"(call $output (i32.const 0) (i32.const {4 * len(calls)}))"
    for at, (name, values, _) in enumerate(calls):
        given = " ".join(f"(i32.const {value})" for value in values)
        said = f"(i32.store (i32.const {4 * at}) (call ${name} {given})) {said}"
    answers = result(await rig.run(core(said, "random_get", "fd_write", "poll_oneoff", "output", pages=32)))
    codes = [int.from_bytes(answers[at : at + 4], "little") for at in range(0, len(answers), 4)]
    assert codes == [code for _, _, code in calls]


@pytest.mark.ends("error")
async def test_a_component_asks_for_endless_randomness(rig: Rig) -> None:
    kind = '(param "a" u64) (result (list u8))'
    asks = f"i64.const -1 i32.const 32 call $f {returned()}"
    outcome = await rig.run(
        with_one("wasi:random/random@0.2.0", "get-random-bytes", kind, "(param i64 i32)", asks)
    )
    assert "at most 1048576 are allowed" in reason(outcome)


# ---------------------------------------------------------------- requests


@pytest.mark.ends("protocol")
async def test_a_request_is_no_request(rig: Rig) -> None:
    deep = ["[", 100_000, ""], ['{"a":', 100_000, ""], ['{"url": "http://a/", "headers": [', 1, "[" * 100_000]
    for argument in [*deep, ["", 0, "null"], ["", 0, "[1]"], ["", 0, '{"url": 1e999}'], ["", 0, "\0"]]:
        await rig.run_python("ask", argument, answers=True)


@pytest.mark.ends("too-large")
async def test_a_request_is_too_large(rig: Rig) -> None:
    url = f'{{"url": "{rig.site.url("/never")}", '
    headers = '"headers": [' + '["x", "y"],' * 200 + '["x", "y"]]}'
    long = f'"headers": [["x", "{"y" * 70_000}"]]}}'
    for argument in (
        ["x", (16 << 20) + 1, ""],
        [f'{url} "method": "POST", "body": "', 1, "AAAA" * (3 << 20) + '"}'],
        [url, 1, headers],
        [url, 1, long],
    ):
        await rig.run_python("ask", argument, answers=True)
    assert not any("/never" in seen for seen in rig.site.seen)


@pytest.mark.ends("too-large", "protocol")
async def test_a_request_of_a_million_headers(rig: Rig) -> None:
    url = f'{{"url": "{rig.site.url("/never")}", "headers": [["",""]'
    await rig.run_python("ask", [',["",""]', 1_500_000, "x"], answers=True)
    await rig.run_python("ask", [url, 1, ',["",""]' * 1_500_000 + "]}"], answers=True)


@pytest.mark.ends("too-large")
async def test_a_request_of_a_core_module_is_too_large(rig: Rig) -> None:
    asks = (
        "(drop (call $http (i32.const 0) (i32.const 0x1000001)))"
        "(call $output (i32.const 0) (call $http_read (i32.const 0) (i32.const 0) (i32.const 500)))"
    )
    await rig.run(core(asks, "http", "http_read", "output", pages=257), answers=True)


# ---------------------------------------------------------------- calls by name


@pytest.mark.ends("too-large")
async def test_the_argument_of_a_call_is_too_large(rig: Rig) -> None:
    await rig.run_python("call", ["memo.put", 16 << 20, 0], answers=True)
    await rig.run_python("call", ["x" * 65, 1, 0], answers=True)
    asks = "(drop (call $call (i32.const 0) (i32.const {}) (i32.const 0) (i32.const {})))"
    reads = "(call $output (i32.const 0) (call $call_read (i32.const 0) (i32.const 0) (i32.const 500)))"
    for name, size in ((8, (16 << 20) + 1), (65, 8), (-1, -1)):
        module = core(asks.format(name, size) + reads, "call", "call_read", "output", pages=258)
        await rig.run(module, answers=True)


@pytest.mark.ends("output-limit")
async def test_a_component_hands_over_hundreds_of_megabytes(rig: Rig) -> None:
    much = 240 << 20
    asks = with_host(f"i32.const 0 i32.const {much} i32.const 16 call $http {returned()}", pages=4000)
    outcomes = await rig.run_all(asks, component(returned(0, much), pages=4000))
    assert {reason(outcome) for outcome in outcomes} == {
        "the guest handed over more than 128 MiB of values at once"
    }


@pytest.mark.ends("bad-call", "unknown-call")
async def test_a_call_is_none(rig: Rig) -> None:
    for argument in (["memo.put", 0, 100_000], ["memo.get", 1, 0], ["", 1, 0], ["\0", 1, 0]):
        await rig.run_python("call", argument, answers=True)


@pytest.mark.ends("journal-limit")
async def test_a_guest_begins_values_without_end(rig: Rig) -> None:
    assert "at once" in reason(await rig.run_python("remember", 1_000_000))


# ---------------------------------------------------------------- too often


@pytest.mark.ends("journal-limit")
async def test_a_guest_reads_a_clock_a_million_times(rig: Rig) -> None:
    reads = core(loop(1_000_000, "(drop (call $now_ms))"), "now_ms", variables=COUNTER)
    assert reason(await rig.run(reads)).startswith("the journal is full: 100000 entries")
    assert reason(await rig.run_python("read_clocks", 1_000_000)).startswith("the journal is full: 100000")


@pytest.mark.ends("journal-limit")
async def test_a_guest_sleeps_a_million_times(rig: Rig) -> None:
    sleeps = core(loop(1_000_000, "(call $sleep_ms (i64.const 0))"), "sleep_ms", variables=COUNTER)
    assert reason(await rig.run(sleeps)).startswith("the journal is full: 100000 entries")


@pytest.mark.ends("completed")
async def test_a_guest_in_python_sleeps_thousands_of_times(rig: Rig) -> None:
    await rig.run_python("sleep_often", 3_000)


@pytest.mark.ends("error")
async def test_a_component_takes_handles_without_end(rig: Rig) -> None:
    stdout = """(import "wasi:io/streams@0.2.0" (instance $io (export "output-stream" (type (sub resource)))))
        (alias export $io "output-stream" (type $stream))
        (import "wasi:cli/stdout@0.2.0" (instance $out (alias outer 1 $stream (type $outer))
            (export "output-stream" (type $same (eq $outer)))
            (export "get-stdout" (func (result (own $same))))))"""
    takes = component(
        loop(3_000_000, "(drop (call $f))") + returned(),
        imports=stdout,
        lowered='(core func $f (canon lower (func $out "get-stdout")))',
        functions='(import "x" "f" (func $f (result i32)))',
        given='(export "f" (func $f))',
        variables=COUNTER,
    )
    assert reason(await rig.run(takes)).startswith("it holds more than 16384 open files, streams")


# ---------------------------------------------------------------- strange times


@pytest.mark.ends("completed")
async def test_a_guest_sleeps_for_less_than_no_time(rig: Rig) -> None:
    least = -(1 << 63)
    sleeps = (
        f"(call $sleep_ms (i64.const {least})) (call $sleep_ms (i64.const -1)) (call $sleep_ms (i64.const 0))"
    )
    await rig.run(core(sleeps, "sleep_ms"))


@pytest.mark.ends("suspended")
async def test_a_guest_sleeps_for_ever(rig: Rig) -> None:
    poll = "(drop (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))"
    for_ever = "(i64.store (i32.const 24) (i64.const -1))"
    until = for_ever + "(i32.store16 (i32.const 40) (i32.const 1))"
    for module in (
        core(f"(call $sleep_ms (i64.const {(1 << 63) - 1}))", "sleep_ms"),
        core(for_ever + poll, "poll_oneoff"),
        core(until + poll, "poll_oneoff"),
    ):
        outcome = await rig.run(module)
        assert isinstance(outcome, Suspended)
        assert outcome.wake_ms > 9_000_000_000_000
    await rig.run_python("sleep", 9e9)


@pytest.mark.ends("error")
async def test_a_guest_in_python_sleeps_for_a_time_that_is_none(rig: Rig) -> None:
    times: list[Any] = [-1, 1e300, None]
    for seconds in times:
        await rig.run_python("sleep", seconds)
