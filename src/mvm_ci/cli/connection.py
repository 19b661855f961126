"""From a command to the control plane and back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from mvm_ci.cli.options import credentials, source

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.config.credentials import Credentials

T = TypeVar("T")


def open_client(found: "Credentials") -> "ApiClient":
    """The client for these credentials."""
    from mvm_ci.client import ApiClient
    from mvm_ci.config.parsers import is_ticket

    if not is_ticket(found.url):
        return ApiClient(found.url, found.token, namespace=found.namespace)
    from mvm_ci.client.by_ticket import TicketTransport, address_of
    from mvm_ci.config.processes import client_peer
    from mvm_ci.logs import configure_logs
    from mvm_ci.wiring.network import make_transport

    configure_logs("warning", "auto")  # the network's own; unconfigured they would go to stdout
    peer = client_peer(source({}))
    transport = TicketTransport(make_transport(peer), found.url, str(peer.bind))
    return ApiClient(address_of(found.url), found.token, transport, namespace=found.namespace)


def ask(url: str | None, token_file: str | None, work: Callable[["ApiClient"], Awaitable[T]]) -> T:
    """Runs ``work`` with a client for the control plane that flags, environment or credentials name."""
    found = credentials(url, token_file)

    async def session() -> T:
        async with open_client(found) as client:
            return await work(client)

    return asyncio.run(session())
