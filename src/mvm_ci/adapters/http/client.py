"""``GuestHttpClient``: performs guests' requests under the network policy; implements
``ports.http_client.HttpClient``.

Every hop, redirects too, goes the same way: the name must be allowed by job and operator, it is resolved
once, *every* address must be permitted, and the connection is made to an address that was checked, not to the
name. Each hop has a connection of its own, so nothing is ever sent twice because a connection was stale.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import certifi

from mvm_ci import __version__
from mvm_ci.adapters.http.exchange import Answer, exchange
from mvm_ci.adapters.http.resolver import SystemResolver
from mvm_ci.adapters.http.target import Failed, Target, end_to_end, first_target, next_target
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.http import HttpFailure, HttpRequest
from mvm_ci.domain.network import NetworkPolicy, allowed
from mvm_ci.ports.http_client import FetchedResponse, FileBody, Sink

MAX_TIMEOUT_MS: Final = 300_000
MAX_LARGE_TIMEOUT_MS: Final = 3_600_000
"""Of requests whose body is a file, or whose answer goes to a sink."""
MAX_REDIRECTS: Final = 10
_RESOLVE_S: Final = 10.0
_CONNECT_S: Final = 10.0
_MAX_ADDRESSES: Final = 32
MAX_REQUESTS: Final = 256

BeforeSend = Callable[[], Awaitable[None]]
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, for a port. Raises ``OSError`` if there are none."""


class GuestHttpClient:
    """See the module's docstring.

    ``resolve`` and ``tls``: instead of the system's. ``spool``: a directory for large bodies,
    instead of the system's for temporary files. At most 256 requests are under way; further ones wait.
    """

    def __init__(
        self,
        policy: NetworkPolicy,
        *,
        resolve: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        spool: Path | None = None,
    ) -> None:
        self._policy = policy
        self._resolve = resolve or SystemResolver()
        self._tls = tls
        self._spool = spool
        self._room = asyncio.Semaphore(MAX_REQUESTS)
        self._tasks: set[asyncio.Task[object]] = set()

    async def fetch(
        self,
        request: HttpRequest,
        *,
        allow_hosts: tuple[str, ...],
        idempotency_key: str,
        before_send: BeforeSend | None = None,
        body: FileBody | None = None,
        sink: Sink | None = None,
    ) -> FetchedResponse | HttpFailure:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        longest_ms = MAX_TIMEOUT_MS if body is None and sink is None else MAX_LARGE_TIMEOUT_MS
        limit_ms = min(max(request.timeout_ms, 1), longest_ms)
        try:
            first = first_target(request, idempotency_key, f"mvm-ci/{__version__}", body)
            async with asyncio.timeout(limit_ms / 1000), self._room:
                return await self._follow(first, allow_hosts, before_send, sink)
        except TimeoutError:
            return HttpFailure("timeout", f"no complete answer within {limit_ms} ms")
        except Failed as error:
            return error.failure
        finally:
            if task is not None:
                self._tasks.discard(task)

    async def close(self) -> None:
        """Cuts off the requests that are under way."""
        for task in list(self._tasks):
            task.cancel()

    async def _follow(
        self,
        target: Target,
        allow_hosts: tuple[str, ...],
        before_send: BeforeSend | None,
        sink: Sink | None,
    ) -> FetchedResponse:
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._hop(target, allow_hosts, before_send, sink)
            try:
                following = next_target(target, answer.status, answer.header(b"location"))
            except Failed:
                answer.body.close()
                raise
            if following is None:
                small, headers = answer.body.small(), end_to_end(answer.headers)
                body = answer.body if small is None else small
                return FetchedResponse(status=answer.status, url=target.url, headers=headers, body=body)
            answer.body.close()
            target = following
        raise Failed("protocol", f"more than {MAX_REDIRECTS} redirects")

    async def _hop(
        self,
        target: Target,
        allow_hosts: tuple[str, ...],
        before_send: BeforeSend | None,
        sink: Sink | None,
    ) -> Answer:
        self._check_name(target, allow_hosts)
        addresses = await self._checked_addresses(target)
        reader, writer = await self._connect(target, addresses)
        try:
            if before_send is not None:
                await before_send()
            return await exchange(reader, writer, target, self._spool, sink)
        finally:
            # Not a polite end: it would wait for a server that may have no manners.
            writer.transport.abort()

    def _check_name(self, target: Target, allow_hosts: tuple[str, ...]) -> None:
        place = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
        try:
            if not allowed(target.host, target.port, allow_hosts):
                raise Failed("refused", f"the job does not name {place}; submit it with --allow-host {place}")
        except BadInput as error:
            raise Failed("refused", str(error)) from error
        if not allowed(target.host, target.port, self._policy.allow_hosts):
            raise Failed(
                "refused", f"this worker's operator does not allow {place} (--allow-host of worker or dev)"
            )

    async def _checked_addresses(self, target: Target) -> Sequence[str]:
        try:
            addresses: Sequence[str] = [str(ip_address(target.host))]
        except ValueError:
            addresses = await self._addresses(target)
        for address in addresses:
            # One bad address spoils all: a name that is half private is a trap or a mistake.
            if not self._policy.permits(address):
                raise Failed(
                    "refused",
                    f"{target.host} leads to {address}, not a public address; "
                    "this worker's operator does not allow its network (--allow-network)",
                )
        return addresses[:_MAX_ADDRESSES]

    async def _addresses(self, target: Target) -> Sequence[str]:
        try:
            async with asyncio.timeout(_RESOLVE_S):
                addresses = await self._resolve(target.host, target.port)
        except TimeoutError as error:
            raise Failed("dns", f"{target.host} was not resolved within {_RESOLVE_S:.0f} s") from error
        except (OSError, UnicodeError) as error:
            raise Failed("dns", f"{target.host} cannot be resolved: {error}") from error
        if not addresses:
            raise Failed("dns", f"{target.host} has no address")
        return addresses

    async def _trust(self) -> ssl.SSLContext:
        # Reading the system's certificates takes longer than a worker's handshake: only when they are needed.
        if self._tls is None:
            self._tls = await asyncio.to_thread(_system_trust)
        return self._tls

    async def _connect(
        self, target: Target, addresses: Sequence[str]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reason = ""
        trust = await self._trust() if target.secure else None
        for address in addresses:
            try:
                async with asyncio.timeout(_CONNECT_S):
                    return await asyncio.open_connection(
                        address,
                        target.port,
                        ssl=trust,
                        server_hostname=target.host if target.secure else None,
                    )
            except ssl.SSLError as error:
                # The same certificate waits behind the other addresses.
                raise Failed("connect", f"no TLS connection to {target.host}: {error}") from error
            except TimeoutError:
                reason = f"no answer from {address} within {_CONNECT_S:.0f} s"
            except OSError as error:
                reason = str(error)
        raise Failed("connect", f"no connection to {target.host}:{target.port}: {reason}")


def _system_trust() -> ssl.SSLContext:
    paths = ssl.get_default_verify_paths()
    context = ssl.create_default_context()
    if paths.cafile is None and paths.capath is None:
        context.load_verify_locations(certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
