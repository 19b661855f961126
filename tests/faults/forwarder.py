"""A UDP forwarder on loopback that loses, delays and forgets: a network between worker and control plane."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

Address = tuple[str, int]
_LARGEST: Final = 65_536
_TICK_S: Final = 0.05


@dataclass
class Direction:
    """What happens to datagrams one way. ``lose``: all are lost; ``lose_each``: every so many, one is."""

    lose: bool = False
    lose_each: int = 0
    delay_s: float = 0.0
    _count: int = field(default=0, repr=False)

    def loses(self) -> bool:
        """Whether the next datagram is lost."""
        self._count += 1
        return self.lose or bool(self.lose_each and self._count % self.lose_each == 0)


class Forwarder:
    """Forwards to ``target`` what arrives at ``address``, and the answers back, as a NAT would.

    Faults may be set from any thread at any time; ``out`` is the way to the target, ``back`` the way from it.
    """

    def __init__(self, target: Address) -> None:
        self.target = target
        self.out, self.back = Direction(), Direction()
        self.cuts = 0
        self._entry = _socket()
        self.address: Address = self._entry.getsockname()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._entry, selectors.EVENT_READ)
        self._beyond: dict[Address, socket.socket] = {}
        self._late: list[tuple[float, int, socket.socket, Address, bytes, Direction]] = []
        self._order = itertools.count()
        self._forget = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Nothing passes; nobody is told."""
        self.cuts += 1
        self.out.lose = self.back.lose = True

    def heal(self) -> None:
        """All passes again, at once."""
        for way in (self.out, self.back):
            way.lose, way.lose_each, way.delay_s = False, 0, 0.0

    def slow(self, delay_s: float, lose_each: int) -> None:
        """Each datagram takes ``delay_s`` each way, and every ``lose_each``th never comes."""
        for way in (self.out, self.back):
            way.delay_s, way.lose_each = delay_s, lose_each

    def forget(self) -> None:
        """Known senders get a new port on the far side, as behind a NAT that was restarted."""
        self._forget.set()

    def close(self) -> None:
        """Ends the thread and closes the sockets."""
        self._over.set()
        self._thread.join(timeout=10)
        for used in (self._entry, *self._beyond.values()):
            used.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(self._wait_s()):
                self._receive(key.fileobj)  # type: ignore[arg-type] # only sockets are registered
            if self._forget.is_set():
                self._forget.clear()
                self._drop_beyond()
            self._send_late()

    def _wait_s(self) -> float:
        return min(_TICK_S, max(0.0, self._late[0][0] - time.monotonic())) if self._late else _TICK_S

    def _receive(self, ready: socket.socket) -> None:
        try:
            data, sender = ready.recvfrom(_LARGEST)
        except OSError:
            return  # nobody listens at the target just now
        if ready is self._entry:
            self._pass(self._far_side(sender), self.target, data, self.out)
            return
        near = next((near for near, beyond in self._beyond.items() if beyond is ready), None)
        if near is not None:
            self._pass(self._entry, near, data, self.back)

    def _far_side(self, sender: Address) -> socket.socket:
        if sender not in self._beyond:
            self._beyond[sender] = made = _socket()
            self._selector.register(made, selectors.EVENT_READ)
        return self._beyond[sender]

    def _pass(self, via: socket.socket, to: Address, data: bytes, way: Direction) -> None:
        if way.loses():
            return
        heapq.heappush(self._late, (time.monotonic() + way.delay_s, next(self._order), via, to, data, way))

    def _send_late(self) -> None:
        while self._late and self._late[0][0] <= time.monotonic():
            _, _, via, to, data, way = heapq.heappop(self._late)
            if way.lose or via.fileno() < 0:
                continue
            with contextlib.suppress(OSError):
                via.sendto(data, to)

    def _drop_beyond(self) -> None:
        for beyond in self._beyond.values():
            self._selector.unregister(beyond)
            beyond.close()
        self._beyond.clear()


def _socket() -> socket.socket:
    made = socket.socket(type=socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


@contextlib.contextmanager
def forwarding(target: Address) -> Iterator[Forwarder]:
    """A forwarder that ends with the block."""
    made = Forwarder(target)
    try:
        yield made
    finally:
        made.close()
