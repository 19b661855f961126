"""Endpoints on iroh: UDP sockets with a key, reached by tickets that carry their addresses and, if the
operator names relays, the one they can be met at. No discovery.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

import iroh
import structlog

from mvm_ci.adapters.iroh import failures, patch, rust_calls
from mvm_ci.adapters.iroh.connection import IrohConnection
from mvm_ci.adapters.iroh.relays import Relays
from mvm_ci.domain.errors import BadInput, Misconfigured, Unavailable
from mvm_ci.domain.ids import WorkerId

KEY_BYTES: Final = 32
HANDSHAKE_S: Final = 10.0
CLOSE_S: Final = 5.0
MAX_PORT: Final = 65_535
_FREE_TRIES: Final = 20
_FREE_PAUSE_S: Final = 0.01
MAX_HANDSHAKES: Final = 256
"""Handshakes under way at once; more are refused, so that strangers cannot fill the memory."""
MAX_WAITING: Final = 256
"""Connections that stand but were not accepted yet."""

log = structlog.get_logger()


class _Preset(iroh.Preset):
    """No discovery, on the given sockets only."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    def apply(self, builder: iroh.EndpointBuilder) -> None:
        builder.apply_minimal()
        for address in self._addresses:
            builder.bind_addr(address)


class IrohTransport:
    """Makes iroh endpoints.

    ``relays``: those that may be used. ``external``: where a NAT before this machine shows the socket
    (``ip:port``): others are told of it.
    """

    def __init__(self, relays: Relays | None = None, external: str | None = None) -> None:
        patch.apply()
        rust_calls.apply()
        self._relays = relays or Relays.none()
        self._external = external
        if external is not None:
            _host(external)

    async def bind(self, *, secret_key: bytes, address: str, alpns: Sequence[bytes]) -> "IrohEndpoint":
        """An endpoint; the first of ``alpns`` is the one it dials with. See
        ``ports.transport.Transport.bind``.
        """
        if len(secret_key) != KEY_BYTES:
            raise Misconfigured(f"an endpoint key has {KEY_BYTES} bytes, this one {len(secret_key)}")
        host = _host(address)
        sockets = [address]
        if host.version == 4 and host.is_loopback:
            # Without this iroh opens an IPv6 socket to the whole network beside the loopback one.
            sockets.append("[::1]:0")
        try:
            endpoint = await self._bind(secret_key, sockets, alpns)
        except iroh.IrohError as error:
            if len(sockets) == 1 or failures.in_use(error):
                raise failures.cannot_bind(error, address) from None
            # A machine without IPv6 has no ::1, and nothing to open by accident.
            try:
                endpoint = await self._bind(secret_key, [address], alpns)
            except iroh.IrohError as second:
                raise failures.cannot_bind(second, address) from None
        if self._external is not None:
            await endpoint.add_external_addr(self._external)
        return IrohEndpoint(endpoint, host, alpns, self._relays, self._external)

    async def _bind(self, key: bytes, sockets: Sequence[str], alpns: Sequence[bytes]) -> iroh.Endpoint:
        options = iroh.EndpointOptions(
            preset=_Preset(sockets), secret_key=key, alpns=list(alpns), relay_mode=self._relays.mode
        )
        return await iroh.Endpoint.bind(options)


class IrohEndpoint:
    """A bound endpoint. It shakes hands with callers in the background until it is closed."""

    def __init__(
        self,
        endpoint: iroh.Endpoint,
        host: ipaddress.IPv4Address | ipaddress.IPv6Address,
        alpns: Sequence[bytes],
        relays: Relays,
        external: str | None,
    ) -> None:
        self._relays = relays
        self._external = external
        self._endpoint: iroh.Endpoint | None = endpoint
        self._host = host
        self._alpns = alpns
        self._id = WorkerId(str(endpoint.id()))
        self._address = next(
            bound for bound in endpoint.bound_sockets() if bound.startswith("[") == (host.version == 6)
        )
        self._waiting: asyncio.Queue[IrohConnection | None] = asyncio.Queue(MAX_WAITING)
        self._handshakes: set[asyncio.Task[None]] = set()
        self.failed_handshakes = 0
        """Callers that did not get through: wrong protocol, gone, too slow, too many at once."""
        self._accepting = asyncio.create_task(self._accept_callers(endpoint), name="iroh-accept")

    @property
    def id(self) -> WorkerId:
        return self._id

    @property
    def address(self) -> str:
        """``host:port`` as bound: bind to it again after a restart, and tickets stay valid."""
        return self._address

    def ticket(self) -> str:
        endpoint = self._opened()
        relay = endpoint.addr().relay_url() or self._relays.first
        # In order: the same addresses are the same ticket.
        address = iroh.EndpointAddr(endpoint.id(), relay, sorted(self._reachable(endpoint)))
        return str(iroh.EndpointTicket.from_addr(address))

    def ticket_here(self) -> str:
        """A ticket for peers on this machine: it stays what it is, whatever networks come and go."""
        endpoint = self._opened()
        loopback = "127.0.0.1" if self._host.version == 4 else "[::1]"
        here = f"{loopback}:{_port(self._address)}" if self._host.is_unspecified else self._address
        return str(iroh.EndpointTicket.from_addr(iroh.EndpointAddr(endpoint.id(), None, [here])))

    async def reach_relay(self, timeout_s: float) -> bool:
        """Whether a relay was reached within ``timeout_s``; there must be one to reach."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._opened().online()  # without a limit it waits for ever
        except TimeoutError:
            return False
        return True

    def _reachable(self, endpoint: iroh.Endpoint) -> list[str]:
        external = [] if self._external is None else [self._external]
        if not self._host.is_unspecified:
            return [self._address, *external]
        loopback = "127.0.0.1" if self._host.version == 4 else "[::1]"
        # Off every network only this machine can reach it.
        found = endpoint.addr().direct_addresses() or [f"{loopback}:{_port(self._address)}"]
        return [*found, *(one for one in external if one not in found)]

    def _opened(self) -> iroh.Endpoint:
        if self._endpoint is None:
            raise Unavailable("the endpoint is closed")
        return self._endpoint

    async def accept(self) -> IrohConnection:
        connection = await self._waiting.get()
        if connection is None:
            self._waiting.put_nowait(None)  # for whoever else waits
            raise Unavailable("the endpoint is closed")
        return connection

    async def connect(
        self, ticket: str, timeout_s: float = HANDSHAKE_S, protocol: bytes | None = None
    ) -> IrohConnection:
        endpoint = self._opened()
        try:
            target = iroh.EndpointTicket.from_string(ticket.strip()).endpoint_addr()
        except iroh.IrohError as error:
            raise BadInput(f"not an endpoint ticket: {_shown(ticket)} ({failures.cause(error)})") from None
        target, unused = self._permitted(target)
        try:
            async with asyncio.timeout(timeout_s):
                return IrohConnection(await endpoint.connect(target, protocol or self._alpns[0]))
        except TimeoutError:
            raise Unavailable(
                f"nobody answered at {_where(target)} within {timeout_s:g} s{unused}; "
                "is the control plane of this ticket running, and does UDP reach it?"
            ) from None
        except iroh.IrohError as error:
            raise failures.cannot_connect(error, _where(target), unused) from None

    def _permitted(self, target: iroh.EndpointAddr) -> tuple[iroh.EndpointAddr, str]:
        """``target`` without a relay that this process was not told to use, and words about that relay."""
        relay = target.relay_url()
        if relay is None or self._relays.allows(relay):
            return target, ""
        unused = f"the ticket's relay {relay} is not used: neither --relay nor MVM_CI_RELAY names it"
        if not target.direct_addresses():
            raise BadInput(f"{unused}, and the ticket has no other address")
        return iroh.EndpointAddr(target.id(), None, target.direct_addresses()), f" ({unused})"

    async def close(self) -> None:
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is None:
            return
        for task in self._handshakes:
            task.cancel()
        try:
            async with asyncio.timeout(CLOSE_S):
                await endpoint.close()
                # It ends by itself now; cancelled, its traceback would hold the endpoint and so the socket.
                await self._accepting
        except TimeoutError:
            log.warning("endpoint_close_timed_out", seconds=CLOSE_S)
        await asyncio.gather(*self._handshakes, return_exceptions=True)
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)
        # iroh frees the socket a moment after its last reference is gone; who binds it again must not find it
        # in use.
        del endpoint
        for _ in range(_FREE_TRIES):
            if _is_free(self._host, _port(self._address)):
                return
            await asyncio.sleep(_FREE_PAUSE_S)
        log.debug("endpoint_port_not_freed", address=self._address)

    async def _accept_callers(self, endpoint: iroh.Endpoint) -> None:
        while True:
            try:
                incoming = await endpoint.accept_next()
            except iroh.IrohError as error:
                self._failed(failures.cause(error))
                continue
            if incoming is None:
                return  # closed
            if len(self._handshakes) >= MAX_HANDSHAKES or self._waiting.full():
                await incoming.refuse()
                self._failed("too many callers at once")
                continue
            task = asyncio.create_task(self._shake_hands(incoming), name="iroh-handshake")
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, incoming: iroh.Incoming) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                accepting = await incoming.accept()
                connection = IrohConnection(await accepting.connect())
        except TimeoutError:
            self._failed("too slow")
            return
        except iroh.IrohError as error:
            self._failed(failures.cause(error))
            return
        try:
            self._waiting.put_nowait(connection)
        except asyncio.QueueFull:
            self._failed("too many callers at once")
            await connection.close(0, "too many callers at once")

    def _failed(self, why: str) -> None:
        self.failed_handshakes += 1
        log.info("handshake_failed", reason=why, count=self.failed_handshakes)


def _where(target: iroh.EndpointAddr) -> str:
    addresses = [*target.direct_addresses(), *filter(None, [target.relay_url()])]
    return ", ".join(addresses) or "no address"


def _host(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    host, _, port = address.rpartition(":")
    if port.isdecimal() and int(port) <= MAX_PORT:
        try:
            return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            pass  # said below, for the port as well
    raise Misconfigured(f"not a UDP address: {address!r}; it has the form 0.0.0.0:4433 (an IP, no name)")


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _is_free(host: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
    family = socket.AF_INET if host.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(host), port))
        except OSError:
            return False
    return True


def _shown(ticket: str) -> str:
    longest = 40
    text = ticket.strip()
    return repr(text if len(text) <= longest else text[:longest] + "…")
