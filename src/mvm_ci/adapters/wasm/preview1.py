"""WASI preview 1 for guests that have no files, no arguments and no environment.

Clocks, randomness and sleeping are the host's; stdout and stderr are logs; every other descriptor is unknown.
"""

from typing import Final

from mvm_ci.adapters.wasm.core_host import CoreRun, HostFunction, Signature, WaitingFunction
from mvm_ci.adapters.wasm.failures import guest_failed
from mvm_ci.domain.outcome import FailureKind

_SUCCESS: Final = 0
_BADF: Final = 8
_INVAL: Final = 28
_NOSYS: Final = 52
_SPIPE: Final = 70

_STREAMS: Final = {1: "stdout", 2: "stderr"}
_REALTIME: Final = 0
_CLOCKS: Final = 4
_MAX_RANDOM: Final = 1 << 20
_MAX_SUBSCRIPTIONS: Final = 1_000
_MAX_WRITE_PARTS: Final = 1_024
_MAX_WRITE: Final = 1 << 20
_MAX_U63: Final = (1 << 63) - 1
_SUBSCRIPTION_BYTES: Final = 48


class Exited(Exception):
    """The guest called ``proc_exit``; not an error if ``status`` is 0."""

    def __init__(self, status: int) -> None:
        super().__init__(f"exit code {status}")
        self.status = status


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _clock_time_get(run: CoreRun, clock: int, _precision: int, pointer: int) -> int:
    if clock >= _CLOCKS:
        return _INVAL
    now = run.host.wall_clock_ns() if clock == _REALTIME else run.host.monotonic_ns()
    run.store(pointer, (now & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little"))
    return _SUCCESS


def _clock_res_get(run: CoreRun, clock: int, pointer: int) -> int:
    if clock >= _CLOCKS:
        return _INVAL
    run.store(pointer, (1).to_bytes(8, "little"))
    return _SUCCESS


def _random_get(run: CoreRun, pointer: int, size: int) -> int:
    if size > _MAX_RANDOM:
        return _INVAL
    run.store(pointer, run.host.random(size))
    return _SUCCESS


def _sched_yield(_run: CoreRun) -> int:
    return _SUCCESS


def _proc_exit(_run: CoreRun, status: int) -> None:
    raise Exited(status)


def _proc_raise(_run: CoreRun, signal: int) -> int:
    raise guest_failed(FailureKind.ERROR, f"the guest raised signal {signal}")


def _fd_write(run: CoreRun, descriptor: int, parts: int, count: int, written: int) -> int:
    stream = _STREAMS.get(descriptor)
    if stream is None:
        return _BADF
    if count > _MAX_WRITE_PARTS:
        return _INVAL
    table = run.read(parts, 8 * count)
    # The parts may be many times the memory: as with any file, who wrote less than all writes the rest anew.
    data = b""
    for at in range(0, 8 * count, 8):
        pointer, size = _number(table, at, 4), _number(table, at + 4, 4)
        run.must_reach(pointer, size)
        data += run.read(pointer, min(size, _MAX_WRITE - len(data)))
    run.write(stream, data)
    run.store(written, len(data).to_bytes(4, "little"))
    return _SUCCESS


def _fd_read(run: CoreRun, descriptor: int, _parts: int, _count: int, read: int) -> int:
    if descriptor != 0:
        return _BADF
    run.store(read, bytes(4))
    return _SUCCESS


def _fd_fdstat_get(run: CoreRun, descriptor: int, pointer: int) -> int:
    if descriptor > 2:
        return _BADF
    # A character device with no flags and all rights: what a C library takes for a terminal, so it flushes
    # each line.
    run.store(pointer, bytes([2]) + bytes(7) + b"\xff" * 16)
    return _SUCCESS


def _fd_close(_run: CoreRun, descriptor: int) -> int:
    return _SUCCESS if descriptor <= 2 else _BADF


def _fd_seek(_run: CoreRun, descriptor: int, _offset: int, _whence: int, _pointer: int) -> int:
    return _SPIPE if descriptor <= 2 else _BADF


def _no_strings(run: CoreRun, count: int, size: int) -> int:
    run.store(count, bytes(4))
    run.store(size, bytes(4))
    return _SUCCESS


def _nothing(_run: CoreRun, _list: int, _buffer: int) -> int:
    return _SUCCESS


async def _poll_oneoff(run: CoreRun, subscriptions: int, events: int, count: int, ready: int) -> int:
    """Descriptors are always ready; of clocks the earliest one is waited for, durably."""
    if not 0 < count <= _MAX_SUBSCRIPTIONS:
        return _INVAL
    table = run.read(subscriptions, _SUBSCRIPTION_BYTES * count)
    entries = [table[at : at + _SUBSCRIPTION_BYTES] for at in range(0, len(table), _SUBSCRIPTION_BYTES)]
    fired = [entry for entry in entries if entry[8] != 0]
    if not fired:
        if any(_number(entry, 16, 4) >= _CLOCKS for entry in entries):
            return _INVAL
        fired = [await _wait_for_earliest(run, entries)]
    data = b"".join(_event(entry) for entry in fired)
    run.store(events, data)
    run.store(ready, len(fired).to_bytes(4, "little"))
    return _SUCCESS


def _event(entry: bytes) -> bytes:
    error = _BADF if entry[8] != 0 and _number(entry, 16, 4) > 2 else _SUCCESS
    return entry[:8] + error.to_bytes(2, "little") + entry[8:9] + bytes(21)


async def _wait_for_earliest(run: CoreRun, entries: list[bytes]) -> bytes:
    host = run.host
    if len(entries) == 1 and not entries[0][40] & 1:
        await host.sleep_for(min(_number(entries[0], 24, 8), _MAX_U63))
        return entries[0]
    if len(entries) == 1 and _number(entries[0], 16, 4) != _REALTIME:
        await host.sleep_until(min(_number(entries[0], 24, 8), _MAX_U63))
        return entries[0]
    deadlines = []
    for entry in entries:
        clock, timeout, absolute = _number(entry, 16, 4), _number(entry, 24, 8), entry[40] & 1
        if absolute and clock == _REALTIME:
            timeout = max(0, timeout - host.wall_clock_ns())
        elif absolute:
            timeout = max(0, timeout - host.monotonic_ns())
        deadlines.append(min(timeout, _MAX_U63))
    shortest = min(deadlines)
    await host.sleep_for(shortest)
    return entries[deadlines.index(shortest)]


def _bad_descriptor(_run: CoreRun, *_arguments: int) -> int:
    return _BADF


def _unsupported(_run: CoreRun, *_arguments: int) -> int:
    return _NOSYS


_ABSENT: Final = {
    "fd_advise": "iIIi",
    "fd_allocate": "iII",
    "fd_datasync": "i",
    "fd_fdstat_set_flags": "ii",
    "fd_fdstat_set_rights": "iII",
    "fd_filestat_get": "ii",
    "fd_filestat_set_size": "iI",
    "fd_filestat_set_times": "iIIi",
    "fd_pread": "iiiIi",
    "fd_prestat_get": "ii",
    "fd_prestat_dir_name": "iii",
    "fd_pwrite": "iiiIi",
    "fd_readdir": "iiiIi",
    "fd_renumber": "ii",
    "fd_sync": "i",
    "fd_tell": "ii",
    "path_create_directory": "iii",
    "path_filestat_get": "iiiii",
    "path_filestat_set_times": "iiiiIIi",
    "path_link": "iiiiiii",
    "path_open": "iiiiiIIii",
    "path_readlink": "iiiiii",
    "path_remove_directory": "iii",
    "path_rename": "iiiiii",
    "path_symlink": "iiiii",
    "path_unlink_file": "iii",
}

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
    "fd_write": (("iiii", "i"), _fd_write),
    "fd_read": (("iiii", "i"), _fd_read),
    "fd_fdstat_get": (("ii", "i"), _fd_fdstat_get),
    "fd_close": (("i", "i"), _fd_close),
    "fd_seek": (("iIii", "i"), _fd_seek),
    "sock_accept": (("iii", "i"), _unsupported),
    "sock_recv": (("iiiiii", "i"), _unsupported),
    "sock_send": (("iiiii", "i"), _unsupported),
    "sock_shutdown": (("ii", "i"), _unsupported),
    **{name: ((parameters, "i"), _bad_descriptor) for name, parameters in _ABSENT.items()},
}

WAITING: Final[dict[str, tuple[Signature, WaitingFunction]]] = {"poll_oneoff": (("iiii", "i"), _poll_oneoff)}
