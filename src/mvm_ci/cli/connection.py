"""From a command to the control plane and back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from mvm_ci.cli.options import credentials

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.config.credentials import Credentials

T = TypeVar("T")


def open_client(found: "Credentials") -> "ApiClient":
    """The client for these credentials."""
    from mvm_ci.client import ApiClient

    return ApiClient(found.url, found.token, namespace=found.namespace)


def ask(url: str | None, token_file: str | None, work: Callable[["ApiClient"], Awaitable[T]]) -> T:
    """Runs ``work`` with a client for the control plane that flags, environment or credentials name."""
    found = credentials(url, token_file)

    async def session() -> T:
        async with open_client(found) as client:
            return await work(client)

    return asyncio.run(session())
