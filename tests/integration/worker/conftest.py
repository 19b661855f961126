"""A blocking call in the event loop fails the test: a worker that blocks misses its heartbeats."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[BlockBuster]:
    with blockbuster_ctx("mvm_ci") as blockbuster:
        yield blockbuster
