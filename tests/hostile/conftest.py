"""One engine for the tests of a file: what one hostile guest did must not trouble the next test either."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.hostile.rig import Rig, running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with running(tmp_path_factory.mktemp("hostile")) as rig:
        yield rig


@pytest.fixture
def rig(shared_rig: Rig, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The engine, and how the test says that its guest ends (``docs/hostile-guests.md`` says the same)."""
    mark = request.node.get_closest_marker("ends")
    assert mark is not None, "a test of a hostile guest says how that ends"
    shared_rig.expected, shared_rig.checked = mark.args, 0
    yield shared_rig
    assert shared_rig.checked, "no hostile guest was looked at"
