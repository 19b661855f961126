"""Guests that compute without end, too deep, with too much memory, or as no program can."""

import time

import pytest

from guest.build_c import build_c
from mvm_ci.domain.outcome import Stopped
from tests.hostile.binaries import COUNTER, FOREVER, component, core, loop, returned, text, with_host
from tests.hostile.rig import GUESTS, Rig, reason, result

pytestmark = pytest.mark.asyncio(loop_scope="module")
MEMORY = '(memory (export "memory") 1)'
FILL = "(memory.fill (i32.const 0) (i32.const 1) (i32.const {size}))"


@pytest.fixture(scope="module")
def deep() -> bytes:
    return build_c(GUESTS / "deep.c").read_bytes()


# ---------------------------------------------------------------- without end


@pytest.mark.ends("stopped")
async def test_a_guest_spins(rig: Rig) -> None:
    await rig.run(core(FOREVER), stop=True)
    await rig.run_python("spin", stop=True)


@pytest.mark.ends("time-limit")
async def test_a_guest_spins_past_its_time_limit(rig: Rig) -> None:
    outcome = await rig.run(core(FOREVER), timeout_ms=100)
    assert reason(outcome) == "it ran for longer than 100 ms"


@pytest.mark.ends("stopped")
async def test_a_start_section_spins(rig: Rig) -> None:
    await rig.run(core("", start=FOREVER), stop=True)
    await rig.run(component(returned(), start=FOREVER), stop=True)


@pytest.mark.ends("stopped")
async def test_what_the_host_calls_inside_a_guest_spins(rig: Rig) -> None:
    # The host asks the guest for memory in which to put an answer.
    asks = "i32.const 0 i32.const 2 i32.const 16 call $http " + returned()
    await rig.run(with_host(asks, realloc=f"{FOREVER} i32.const 0"), b"", stop=True)


@pytest.mark.ends("stopped")
async def test_a_guest_catches_whatever_is_done_to_it(rig: Rig) -> None:
    await rig.run_python("catch_everything", stop=True)


@pytest.mark.ends("stopped")
async def test_who_cancels_waits_for_less_than_100_ms(rig: Rig) -> None:
    # Filling memory is one instruction, which nobody can interrupt.
    much = 256 << 20
    fills = core(f"(loop $again {FILL.format(size=much)} (br $again))", pages=much >> 16)
    reads = core("(loop $again (drop (call $input_size)) (br $again))", "input_size")
    for module, memory_bytes in ((core(FOREVER), 1 << 20), (reads, 1 << 20), (fills, much)):
        took_s: list[float] = []
        # Other processes may take the machine from us for a while, but not each time.
        while len(took_s) < 10 and min(took_s, default=1) >= 0.1:
            # Under load one instruction may take longer than a runner has.
            async with rig.neighbours(survives=module is not fills):
                placed = rig.place(module, memory_bytes=memory_bytes)
                await rig.begun(placed)
                began = time.perf_counter()
                rig.stop(placed)
                assert await rig.ended(placed) == Stopped()
                took_s.append(time.perf_counter() - began)
        assert min(took_s) < 0.1
    rig.check("stopped")


# ---------------------------------------------------------------- too deep


@pytest.mark.ends("trap")
async def test_a_guest_in_c_calls_itself_without_end(rig: Rig, deep: bytes) -> None:
    assert reason(await rig.run(deep, b"p")) == "stack overflow: the guest called itself too deeply"
    assert reason(await rig.run(deep, b"l")) in (
        "out of bounds memory access",
        "stack overflow: the guest called itself too deeply",
    )


@pytest.mark.ends("trap")
async def test_a_guest_makes_a_host_call_at_each_depth_of_its_stack(rig: Rig, deep: bytes) -> None:
    assert reason(await rig.run(deep, b"c")) == "stack overflow: the guest called itself too deeply"


@pytest.mark.ends("trap")
async def test_two_functions_call_each_other_through_a_table(rig: Rig) -> None:
    both = (
        "(table 2 funcref) (elem (i32.const 0) $one $two)"
        "(func $one (call_indirect (i32.const 1))) (func $two (call_indirect (i32.const 0)))"
    )
    outcome = await rig.run(core("call $one", more=both))
    assert reason(outcome) == "stack overflow: the guest called itself too deeply"


@pytest.mark.ends("error")
async def test_a_guest_in_python_calls_itself_without_end(rig: Rig) -> None:
    assert reason(await rig.run_python("recurse", 0)).startswith("RecursionError: ")


@pytest.mark.ends("error", "memory-limit", "trap")
async def test_a_guest_in_python_lifts_its_limit_and_calls_itself(rig: Rig) -> None:
    await rig.run_python("recurse_without_limit")


# ---------------------------------------------------------------- too much memory


@pytest.mark.ends("trap")
async def test_a_guest_in_c_takes_all_memory_and_aborts(rig: Rig, deep: bytes) -> None:
    await rig.run(deep, b"a", memory_bytes=64 << 20)


@pytest.mark.ends("memory-limit")
async def test_a_guest_in_python_takes_all_memory(rig: Rig) -> None:
    assert reason(await rig.run_python("allocate")) == "MemoryError: the job needs more memory than its limit"


@pytest.mark.ends("completed")
async def test_a_memory_grows_to_its_limit_and_not_over_it(rig: Rig) -> None:
    grows = core(
        "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))"
        "(i32.store (i32.const 0) (memory.size)) (i32.const 0) (i32.const 4) (call $output)"
        "(if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable))",
        "output",
    )
    for limit, pages in ((1 << 20, 16), (256 << 20, 4096), (1 << 30, 1 << 14), (4 << 30, 1 << 14)):
        outcome = await rig.run(grows, memory_bytes=limit)
        assert int.from_bytes(result(outcome), "little") == pages


@pytest.mark.ends("memory-limit", "module")
async def test_a_memory_is_too_large_from_the_beginning(rig: Rig) -> None:
    outcomes = await rig.run_all(core("", pages=4097), core("", pages=(1 << 14) + 1), core("", pages=65536))
    assert reason(outcomes[0]) == "the guest needs more memory than its limit"
    await rig.run_all(component(returned(), pages=4097), component(returned(), pages=65536))


@pytest.mark.ends("completed")
async def test_a_table_grows_to_its_limit_and_not_over_it(rig: Rig) -> None:
    grows = core(
        "(loop $again"
        " (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))"
        "(i32.store (i32.const 0) (table.size $t)) (i32.const 0) (i32.const 4) (call $output)",
        "output",
        more="(table $t 0 funcref)",
    )
    assert int.from_bytes(result(await rig.run(grows)), "little") == 100_000


@pytest.mark.ends("module")
async def test_tables_are_too_large_or_too_many(rig: Rig) -> None:
    await rig.run_all(
        core("", more="(table 100001 funcref)"),
        core("", more="(table 10000000 funcref)"),
        core("", more="(table 1 funcref)" * 5),
    )


# ---------------------------------------------------------------- as no program can


@pytest.mark.ends("trap")
async def test_a_function_is_called_through_a_table_where_it_is_not(rig: Rig) -> None:
    table = "(type $other (func (result i32))) (table 2 funcref) (func $f) (elem (i32.const 0) $f)"
    outcomes = await rig.run_all(
        core("(drop (call_indirect (type $other) (i32.const 0)))", more=table),
        core("(call_indirect (i32.const 1))", more=table),
        core("(call_indirect (i32.const 7))", more=table),
        core("(call_indirect (i32.const -1))", more=table),
    )
    assert [reason(outcome) for outcome in outcomes] == [
        "indirect call type mismatch",
        "uninitialized element",
        "undefined element: out of bounds table access",
        "undefined element: out of bounds table access",
    ]


@pytest.mark.ends("trap")
async def test_a_guest_computes_what_has_no_result(rig: Rig) -> None:
    outcomes = await rig.run_all(
        core("unreachable"),
        core("(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
        core("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"),
        core("(drop (i32.trunc_f32_s (f32.const nan)))"),
        core("(drop (i32.load (i32.const 65533)))"),
        core("(drop (i64.load offset=4294967295 (i32.const -1)))"),
        core("(memory.copy (i32.const 0) (i32.const 65535) (i32.const 2))"),
        core(f"{FILL.format(size=-1)}"),
        text(f'(module {MEMORY} (data (i32.const 65535) "ab") (func (export "_start")))'),
        component("unreachable"),
    )
    assert len({reason(outcome) for outcome in outcomes}) == 5


@pytest.mark.ends("completed")
async def test_a_guest_makes_a_million_calls_that_are_not_recorded(rig: Rig) -> None:
    await rig.run(core(loop(1_000_000, "(drop (call $sched_yield))"), "sched_yield", variables=COUNTER))
