"""WASI preview 1 for guests that have no arguments, no environment and no sockets.

Clocks, randomness and sleeping are the host's; stdout and stderr are logs. Files are in ``preview1_files``
and ``preview1_paths``.
"""

from typing import Final

from mvm_ci.adapters.wasm import preview1_files, preview1_paths
from mvm_ci.adapters.wasm.core_host import CoreRun, HostFunction, Signature, WaitingFunction
from mvm_ci.adapters.wasm.failures import guest_failed
from mvm_ci.adapters.wasm.preview1_descriptors import NUMBERS, SUCCESS
from mvm_ci.adapters.wasm.preview1_files import number
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.files.errors import Errno, FileError

_INVAL: Final = NUMBERS[Errno.INVAL]
_REALTIME: Final = 0
_CLOCKS: Final = 4
_MAX_RANDOM: Final = 1 << 20
_MAX_SUBSCRIPTIONS: Final = 1_000
_MAX_U63: Final = (1 << 63) - 1
_SUBSCRIPTION_BYTES: Final = 48


class Exited(Exception):
    """The guest called ``proc_exit``; not an error if ``status`` is 0."""

    def __init__(self, status: int) -> None:
        super().__init__(f"exit code {status}")
        self.status = status


def _clock_time_get(run: CoreRun, clock: int, _precision: int, pointer: int) -> int:
    if clock >= _CLOCKS:
        return _INVAL
    now = run.host.wall_clock_ns() if clock == _REALTIME else run.host.monotonic_ns()
    run.store(pointer, (now & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little"))
    return SUCCESS


def _clock_res_get(run: CoreRun, clock: int, pointer: int) -> int:
    if clock >= _CLOCKS:
        return _INVAL
    run.store(pointer, (1).to_bytes(8, "little"))
    return SUCCESS


def _random_get(run: CoreRun, pointer: int, size: int) -> int:
    if size > _MAX_RANDOM:
        return _INVAL
    run.store(pointer, run.host.random(size))
    return SUCCESS


def _sched_yield(_run: CoreRun) -> int:
    return SUCCESS


def _proc_exit(_run: CoreRun, status: int) -> None:
    raise Exited(status)


def _proc_raise(_run: CoreRun, signal: int) -> int:
    raise guest_failed(FailureKind.ERROR, f"the guest raised signal {signal}")


def _no_strings(run: CoreRun, count: int, size: int) -> int:
    run.store(count, bytes(4))
    run.store(size, bytes(4))
    return SUCCESS


def _nothing(_run: CoreRun, _list: int, _buffer: int) -> int:
    return SUCCESS


async def _poll_oneoff(run: CoreRun, subscriptions: int, events: int, count: int, ready: int) -> int:
    """Descriptors are always ready; of clocks the earliest one is waited for, durably."""
    if not 0 < count <= _MAX_SUBSCRIPTIONS:
        return _INVAL
    table = run.read(subscriptions, _SUBSCRIPTION_BYTES * count)
    entries = [table[at : at + _SUBSCRIPTION_BYTES] for at in range(0, len(table), _SUBSCRIPTION_BYTES)]
    fired = [entry for entry in entries if entry[8] != 0]
    if not fired:
        if any(number(entry, 16, 4) >= _CLOCKS for entry in entries):
            return _INVAL
        fired = [await _wait_for_earliest(run, entries)]
    data = b"".join(_event(run, entry) for entry in fired)
    run.store(events, data)
    run.store(ready, len(fired).to_bytes(4, "little"))
    return SUCCESS


def _event(run: CoreRun, entry: bytes) -> bytes:
    error = SUCCESS
    if entry[8] != 0:
        try:
            run.descriptors.get(number(entry, 16, 4))
        except FileError as refused:
            error = NUMBERS[refused.errno]
    return entry[:8] + error.to_bytes(2, "little") + entry[8:9] + bytes(21)


async def _wait_for_earliest(run: CoreRun, entries: list[bytes]) -> bytes:
    host = run.host
    if len(entries) == 1 and not entries[0][40] & 1:
        await host.sleep_for(min(number(entries[0], 24, 8), _MAX_U63))
        return entries[0]
    if len(entries) == 1 and number(entries[0], 16, 4) != _REALTIME:
        await host.sleep_until(min(number(entries[0], 24, 8), _MAX_U63))
        return entries[0]
    deadlines = []
    for entry in entries:
        clock, timeout, absolute = number(entry, 16, 4), number(entry, 24, 8), entry[40] & 1
        if absolute and clock == _REALTIME:
            timeout = max(0, timeout - host.wall_clock_ns())
        elif absolute:
            timeout = max(0, timeout - host.monotonic_ns())
        deadlines.append(min(timeout, _MAX_U63))
    shortest = min(deadlines)
    await host.sleep_for(shortest)
    return entries[deadlines.index(shortest)]


FUNCTIONS: Final[dict[str, tuple[Signature, HostFunction]]] = {
    "args_get": (("ii", "i"), _nothing),
    "args_sizes_get": (("ii", "i"), _no_strings),
    "environ_get": (("ii", "i"), _nothing),
    "environ_sizes_get": (("ii", "i"), _no_strings),
    "clock_res_get": (("ii", "i"), _clock_res_get),
    "clock_time_get": (("iIi", "i"), _clock_time_get),
    "random_get": (("ii", "i"), _random_get),
    "sched_yield": (("", "i"), _sched_yield),
    "proc_exit": (("i", ""), _proc_exit),
    "proc_raise": (("i", "i"), _proc_raise),
    **preview1_files.FUNCTIONS,
    **preview1_paths.FUNCTIONS,
}

WAITING: Final[dict[str, tuple[Signature, WaitingFunction]]] = {"poll_oneoff": (("iiii", "i"), _poll_oneoff)}
