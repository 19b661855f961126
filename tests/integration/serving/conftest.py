"""The processes run on uvloop, most tests on asyncio: here both count."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from mvm_ci.serving.limits import Limits
from mvm_ci.serving.server import ApiServer
from tests.integration.serving.rig import Caller, Dial, Echo, connect


def pytest_asyncio_loop_factories(
    config: pytest.Config,
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each test on each loop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def dial(echo: Echo) -> AsyncIterator[Dial]:
    async with contextlib.AsyncExitStack() as stack:

        async def call(limits: Limits | None = None) -> Caller:
            server = ApiServer(echo, "127.0.0.1", 0, 5.0, limits)
            await server.start()
            stack.push_async_callback(server.stop)
            return await connect(server, stack)

        yield call
