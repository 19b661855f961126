"""The typed client of the HTTP API, for asyncio and without it.

What it sends and answers are the types of ``mvm_ci.wire.api``, what it raises is in ``mvm_ci.domain.errors``.
"""

from mvm_ci.client.api import AsyncClient as ApiClient
from mvm_ci.client.api import AsyncClient as AsyncClient
from mvm_ci.client.blocking.api import Client as Client

__all__ = ["ApiClient", "AsyncClient", "Client"]
