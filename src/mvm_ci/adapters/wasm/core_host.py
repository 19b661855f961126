"""What a core module may import: our own module ``mvm_ci_v1`` and WASI preview 1, as ctypes callbacks.

There is no WASI context beneath: what is not written here does not exist, so no guest can reach a real
clock, real randomness or a file by a function that somebody forgot to override.
"""

import ctypes
import struct
from collections.abc import Callable, Coroutine, Mapping
from ctypes import c_uint8, c_uint32, c_uint64, memmove, string_at
from typing import Any, Final, cast

import wasmtime
from wasmtime import _ffi as ffi

from mvm_ci.adapters.wasm import capi, http_json
from mvm_ci.adapters.wasm.current_run import CurrentRun, Run
from mvm_ci.adapters.wasm.failures import guest_failed
from mvm_ci.adapters.wasm.preview1_descriptors import Descriptors
from mvm_ci.domain.artifact import MAX_NAME, MAX_PIECE
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.ports.guest import GuestLimits, HostCalls

MAX_LOG_BYTES: Final = 16 << 20
"""Of one call: as much as an execution may write at all."""
_MAX_I64: Final = (1 << 63) - 1
_MAX_NAME_BYTES: Final = 4 * MAX_NAME
_DIGEST_BYTES: Final = 64
_FAIL_TEXT_BYTES: Final = 32 << 10
_UNWIND: Final = b"unwound by the host"
_Extern: Final = ctypes.c_char * capi.EXTERN_BYTES


class CoreRun(Run):
    """A run of a core module: its memory, and what it has said so far."""

    __slots__ = (
        "_base",
        "_context",
        "_descriptors",
        "_item",
        "_memory",
        "_size",
        "answer",
        "error_text",
        "located",
        "output",
    )

    def __init__(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> None:
        super().__init__(payload, host, limits)
        self.output = b""
        self.error_text: str | None = None
        self.answer = b""
        self.located = False
        self._descriptors: Descriptors | None = None
        self._context = self._base = self._size = 0
        self._memory = _Extern()
        self._item = ctypes.addressof(self._memory) + capi.ITEM_OFFSET

    @property
    def descriptors(self) -> Descriptors:
        """What is open; made when it is asked for first, as most guests need none."""
        if self._descriptors is None:
            self._descriptors = Descriptors(self.host.files)
        return self._descriptors

    def locate_memory(self, caller: int) -> None:
        """Finds the memory of the instance that makes a host call, at its first one."""
        found = capi.caller_export_get(caller, b"memory", 6, self._memory)
        if not found or self._memory.raw[: len(capi.MEMORY)] != capi.MEMORY:
            raise guest_failed(FailureKind.MODULE, "the guest exports no memory")
        self._context = capi.caller_context(caller)
        # Where it is reserved it stays when it grows: ``memory_reservation`` is the most that it can have.
        self._base = capi.memory_data(self._context, self._item)
        self.located = True

    def read(self, pointer: int, size: int) -> bytes:
        """A copy of the guest's bytes. A range that is not all inside its memory ends the run."""
        if pointer + size > self._size:
            self.must_reach(pointer, size)
        return string_at(self._base + pointer, size)

    def store(self, pointer: int, data: bytes) -> None:
        """Writes into the guest's memory, under the same rule."""
        if pointer + len(data) > self._size:
            self.must_reach(pointer, len(data))
        memmove(self._base + pointer, data, len(data))

    def must_reach(self, pointer: int, size: int) -> None:
        """Ends the run unless all of a range is inside the guest's memory."""
        # Asked anew only here: a memory grows, but never shrinks.
        self._size = capi.memory_size(self._context, self._item)
        if pointer + size > self._size:
            raise guest_failed(
                FailureKind.TRAP,
                f"host call with a bad pointer: bytes {pointer} to {pointer + size} of {self._size}",
            )


HostFunction = Callable[..., int | None]
WaitingFunction = Callable[..., Coroutine[Any, Any, int | None]]
Signature = tuple[str, str]
"""Letters of the parameters and of the result: ``i`` is i32, ``I`` is i64; both are read as unsigned."""

_TYPES: Final = {"i": wasmtime.ValType.i32, "I": wasmtime.ValType.i64}
_RAW: Final = {"i": "I12x", "I": "Q8x"}
_PAD: Final = capi.VALUE_BYTES - capi.VALUE_OFFSET
_VALUE: Final = {
    "i": f"{capi.VALUE_OFFSET}xI{_PAD - 4}x",
    "I": f"{capi.VALUE_OFFSET}xQ{_PAD - 8}x",
}
_KINDS: Final = {"i": ffi.WASMTIME_I32.value, "I": ffi.WASMTIME_I64.value}
_CELLS: Final = {"i": c_uint32, "I": c_uint64}


class CoreHost:
    """The linker of core modules; its functions act on the current run."""

    def __init__(self, engine: wasmtime.Engine, current: CurrentRun) -> None:
        self.linker: Final = wasmtime.Linker(engine)
        self._current = current
        self._alive: list[Any] = []

    def add(self, module: str, functions: Mapping[str, tuple[Signature, HostFunction]]) -> None:
        """Defines ``functions``; each is called with the run and its arguments."""
        for name, (signature, function) in functions.items():
            self._define(module, name, signature, self._at_once(signature, function))

    def add_waiting(self, module: str, functions: Mapping[str, tuple[Signature, WaitingFunction]]) -> None:
        """The same for functions that may wait: the guest is suspended meanwhile."""
        for name, (signature, function) in functions.items():
            self._define(module, name, signature, self._waiting(signature, function))

    def _define(self, module: str, name: str, signature: Signature, callback: Any) -> None:
        parameters, results = ([_TYPES[letter]() for letter in letters] for letters in signature)
        capi.define(self.linker, module, name, wasmtime.FuncType(parameters, results), callback)
        self._alive.append(callback)

    def _at_once(self, signature: Signature, function: HostFunction) -> Any:
        parameters, result = signature
        layout = struct.Struct("<" + "".join(_RAW[letter] for letter in parameters))
        size, unpack, current = layout.size, layout.unpack, self._current
        cell = _CELLS[result or "i"]
        trap_new = capi.trap_new

        def call(_environment: int, caller: int, values: int, _count: int) -> int | None:
            run = cast("CoreRun", current.run)
            try:
                run.check()
                if not run.located:
                    run.locate_memory(caller)
                value = function(run, *unpack(string_at(values, size)))
                if value is not None:
                    cell.from_address(values).value = value
                return None
            except BaseException as error:
                # Whatever it is, it is raised again when the guest is unwound.
                run.keep(error)
                return trap_new(_UNWIND, len(_UNWIND))  # type: ignore[no-any-return]

        return capi.HOST_FUNCTION(call)

    def _waiting(self, signature: Signature, function: WaitingFunction) -> Any:
        parameters, result = signature
        layout = struct.Struct("<" + "".join(_VALUE[letter] for letter in parameters))
        size, unpack, current = layout.size, layout.unpack, self._current

        async def perform(run: CoreRun, arguments: tuple[int, ...], results: int) -> None:
            value = await function(run, *arguments)
            if value is not None:
                c_uint8.from_address(results).value = _KINDS[result]
                _CELLS[result].from_address(results + capi.VALUE_OFFSET).value = value

        def call(
            _environment: int,
            caller: int,
            values: int,
            _count: int,
            results: int,
            _results: int,
            trap: int,
            then: int,
        ) -> None:
            run = cast("CoreRun", current.run)
            current.suspend(then)
            try:
                run.check()
                if not run.located:
                    run.locate_memory(caller)
                run.pending = perform(run, unpack(string_at(values, size)), results)
            except BaseException as error:
                run.keep(error)
                c_uint64.from_address(trap).value = capi.trap_new(_UNWIND, len(_UNWIND))

        return capi.WAITING_FUNCTION(call)


def _input_size(run: CoreRun) -> int:
    return len(run.payload)


def _input_read(run: CoreRun, pointer: int, offset: int, size: int) -> int:
    part = run.payload[offset : offset + size]
    run.store(pointer, part)
    return len(part)


def _output(run: CoreRun, pointer: int, size: int) -> None:
    if size > run.limits.result_bytes:
        raise guest_failed(
            FailureKind.OUTPUT, f"the result has {size} bytes; at most {run.limits.result_bytes} are allowed"
        )
    run.output = run.read(pointer, size)


def _fail(run: CoreRun, pointer: int, size: int) -> None:
    run.must_reach(pointer, size)
    run.error_text = run.read(pointer, min(size, _FAIL_TEXT_BYTES)).decode(errors="replace")


def _log(run: CoreRun, pointer: int, size: int) -> None:
    run.must_reach(pointer, size)
    if size > MAX_LOG_BYTES:
        raise guest_failed(
            FailureKind.OUTPUT, f"the guest wrote {size} bytes at once; at most {MAX_LOG_BYTES} are allowed"
        )
    run.write("log", run.read(pointer, size))


async def _sleep_ms(run: CoreRun, milliseconds: int) -> None:
    # A negative time was read as a huge one.
    if milliseconds >> 63 == 0:
        await run.host.sleep_for(min(milliseconds * 1_000_000, _MAX_I64))


def _now_ms(run: CoreRun) -> int:
    return run.host.wall_clock_ns() // 1_000_000


async def _http(run: CoreRun, pointer: int, size: int) -> int:
    if size > http_json.MAX_REQUEST_BYTES:
        run.answer = http_json.REQUEST_TOO_LARGE
    else:
        run.answer = await http_json.answer(run.host, run.read(pointer, size))
    return len(run.answer)


async def _call(run: CoreRun, name: int, name_size: int, pointer: int, size: int) -> int:
    if name_size > http_json.MAX_CALL_NAME_BYTES or size > http_json.MAX_CALL_BYTES:
        run.answer = http_json.CALL_TOO_LARGE
    else:
        called = run.read(name, name_size).decode(errors="replace")
        run.answer = await run.host.call(called, run.read(pointer, size))
    return len(run.answer)


async def _artifact_write(run: CoreRun, name: int, name_size: int, pointer: int, size: int) -> int:
    if name_size > _MAX_NAME_BYTES or size > MAX_PIECE:
        message = f"a write has a name of at most {MAX_NAME} characters and at most {MAX_PIECE} bytes"
        run.answer = http_json.encode_error("too-large", message)
        return len(run.answer)
    called = run.read(name, name_size).decode(errors="replace")
    error = await run.host.write_artifact(called, run.read(pointer, size))
    if error is None:
        return 0
    run.answer = error
    return len(error)


async def _artifact_read(run: CoreRun, digest: int, offset: int, pointer: int, size: int) -> int:
    asked = run.read(digest, _DIGEST_BYTES).decode(errors="replace")
    # An offset with the highest bit set was a negative one; it is beyond every end, too.
    data, error = await run.host.read_artifact(asked, min(offset, _MAX_I64), min(size, MAX_PIECE))
    if error is not None:
        run.answer = error
        return -len(error)
    run.store(pointer, data)
    return len(data)


def _answer_read(run: CoreRun, pointer: int, offset: int, size: int) -> int:
    part = run.answer[offset : offset + size]
    run.store(pointer, part)
    return len(part)


OWN_FUNCTIONS: Final[dict[str, tuple[Signature, HostFunction]]] = {
    "input_size": (("", "i"), _input_size),
    "input_read": (("iii", "i"), _input_read),
    "output": (("ii", ""), _output),
    "fail": (("ii", ""), _fail),
    "log": (("ii", ""), _log),
    "now_ms": (("", "I"), _now_ms),
    "http_read": (("iii", "i"), _answer_read),
    "call_read": (("iii", "i"), _answer_read),
}

OWN_WAITING: Final[dict[str, tuple[Signature, WaitingFunction]]] = {
    "sleep_ms": (("I", ""), _sleep_ms),
    "http": (("ii", "i"), _http),
    "call": (("iiii", "i"), _call),
    "artifact_write": (("iiii", "i"), _artifact_write),
    "artifact_read": (("iIii", "i"), _artifact_read),
}
