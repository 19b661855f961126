"""Pollables of WASI preview 2, replaced as a whole: what a guest waits for is a time, and waiting is durable.

A pollable of the library waits for the library's clock. One of these waits by a host call when it is waited
for; all others, of streams and of sockets that lead nowhere, are ready at once.
"""

from collections.abc import Coroutine, Sequence
from typing import Any, Final

from mvm_ci.adapters.wasm.component_host import WASI_VERSION, Call, Function, Kind, Waiting
from mvm_ci.adapters.wasm.component_images import boolean, items_at, several, u32
from mvm_ci.adapters.wasm.failures import guest_failed
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.ports.guest import HostCalls

_MAX_U63: Final = (1 << 63) - 1


class Pollable:
    """Ready at once, at a time of the monotonic clock, or after a time that begins when it is asked for."""

    __slots__ = ("_after_ns", "_at_ns")

    def __init__(self, *, at_ns: int | None = None, after_ns: int | None = None) -> None:
        self._at_ns = at_ns
        self._after_ns = after_ns

    @property
    def over(self) -> bool:
        """Whether it is known to be ready."""
        return self._at_ns is None and self._after_ns is None

    def deadline(self, host: HostCalls) -> int:
        """When it is ready, if it is not ``over``."""
        if self._after_ns is not None:
            self._at_ns, self._after_ns = min(host.monotonic_ns() + self._after_ns, _MAX_U63), None
        return self._at_ns or 0

    async def wait(self, host: HostCalls) -> None:
        """Returns when it is ready."""
        if self._after_ns is not None:
            await host.sleep_for(self._after_ns)
        elif self._at_ns is not None:
            await host.sleep_until(self._at_ns)
        self.reached()

    def reached(self) -> None:
        """It is ready from now on."""
        self._at_ns = self._after_ns = None


def ready(call: Call) -> bytes:
    """A pollable that is ready."""
    return call.give(Kind.POLLABLE, Pollable())


def _at(call: Call) -> bytes:
    return call.give(Kind.POLLABLE, Pollable(at_ns=min(call.number(0), _MAX_U63)))


def _after(call: Call) -> bytes:
    return call.give(Kind.POLLABLE, Pollable(after_ns=min(call.number(0), _MAX_U63)))


def _is_ready(call: Call) -> bytes:
    pollable, host = call.borrowed(0, Pollable), call.run.host
    if not pollable.over and pollable.deadline(host) <= host.monotonic_ns():
        pollable.reached()
    return boolean(pollable.over)


def _block(call: Call) -> Coroutine[Any, Any, None]:
    return call.borrowed(0, Pollable).wait(call.run.host)


def _poll(call: Call) -> Coroutine[Any, Any, bytes]:
    pollables = [call.borrowed_at(at, Pollable) for at in items_at(call.at(0))]
    if not pollables:
        raise guest_failed(FailureKind.TRAP, "polled nothing")
    return _polled(pollables, call.run.host)


async def _polled(pollables: Sequence[Pollable], host: HostCalls) -> bytes:
    if not any(pollable.over for pollable in pollables):
        if len(pollables) == 1:
            await pollables[0].wait(host)
        else:
            deadlines = [pollable.deadline(host) for pollable in pollables]
            await host.sleep_until(min(deadlines))
            for pollable, deadline in zip(pollables, deadlines, strict=True):
                if deadline == min(deadlines):
                    pollable.reached()
    return several(*(u32(index) for index, pollable in enumerate(pollables) if pollable.over))


def _of_a_socket(call: Call) -> bytes:
    call.give_back(0)
    return ready(call)


FUNCTIONS: Final[dict[str, dict[str, Function]]] = {
    f"wasi:io/poll@{WASI_VERSION}": {"[method]pollable.ready": _is_ready},
    f"wasi:clocks/monotonic-clock@{WASI_VERSION}": {"subscribe-instant": _at, "subscribe-duration": _after},
    f"wasi:sockets/tcp@{WASI_VERSION}": {"[method]tcp-socket.subscribe": _of_a_socket},
    f"wasi:sockets/udp@{WASI_VERSION}": {
        f"[method]{name}.subscribe": _of_a_socket
        for name in ("udp-socket", "incoming-datagram-stream", "outgoing-datagram-stream")
    },
    f"wasi:sockets/ip-name-lookup@{WASI_VERSION}": {"[method]resolve-address-stream.subscribe": _of_a_socket},
}
WAITING: Final[dict[str, dict[str, Waiting]]] = {
    f"wasi:io/poll@{WASI_VERSION}": {"[method]pollable.block": _block, "poll": _poll}
}
RESOURCES: Final = {f"wasi:io/poll@{WASI_VERSION}": {"pollable": Kind.POLLABLE}}
