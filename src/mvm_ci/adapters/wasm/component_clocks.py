"""Clocks and randomness of WASI preview 2: the host's, so that they replay."""

from typing import Final

from mvm_ci.adapters.wasm.component_host import WASI_VERSION, Call, Function
from mvm_ci.adapters.wasm.component_images import group, octets, record, u32, u64
from mvm_ci.adapters.wasm.failures import guest_failed
from mvm_ci.domain.outcome import FailureKind

_MAX_RANDOM: Final = 1 << 20
_SECOND: Final = 1_000_000_000


def datetime(time_ns: int) -> bytes:
    """A Unix time in nanoseconds, as WASI has it."""
    seconds, nanoseconds = divmod(time_ns, _SECOND)
    return record((b"seconds", u64(seconds)), (b"nanoseconds", u32(nanoseconds)))


def _now(call: Call) -> bytes:
    return datetime(call.run.host.wall_clock_ns())


def _random_bytes(call: Call) -> bytes:
    size = call.number(0)
    if size > _MAX_RANDOM:
        raise guest_failed(
            FailureKind.ERROR, f"asked for {size} random bytes at once; at most {_MAX_RANDOM} are allowed"
        )
    return octets(call.run.host.random(size))


def _random_number(call: Call) -> bytes:
    return u64(int.from_bytes(call.run.host.random(8), "little"))


def _seed(call: Call) -> bytes:
    seed = call.run.host.random(16)
    return group(*(u64(int.from_bytes(seed[at : at + 8], "little")) for at in (0, 8)))


_CLOCKS: Final = "wasi:clocks/"
_CHANCE: Final = "wasi:random/"
FUNCTIONS: Final[dict[str, dict[str, Function]]] = {
    f"{_CLOCKS}wall-clock@{WASI_VERSION}": {"now": _now, "resolution": lambda _call: datetime(1)},
    f"{_CLOCKS}monotonic-clock@{WASI_VERSION}": {
        "now": lambda call: u64(call.run.host.monotonic_ns()),
        "resolution": lambda _call: u64(1),
    },
    f"{_CHANCE}random@{WASI_VERSION}": {
        "get-random-bytes": _random_bytes,
        "get-random-u64": _random_number,
    },
    f"{_CHANCE}insecure@{WASI_VERSION}": {
        "get-insecure-random-bytes": _random_bytes,
        "get-insecure-random-u64": _random_number,
    },
    f"{_CHANCE}insecure-seed@{WASI_VERSION}": {"insecure-seed": _seed},
}
