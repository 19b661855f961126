"""The stub in a process of its own: what it costs is not the generator's."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.children import Child
from mvm_ci.loadtest.fleet import Api, Sample
from mvm_ci.loadtest.proc import Usage
from mvm_ci.loadtest.stub import Counts

PART: Final = "stub"
_READY_S: Final = 30.0
_END_S: Final = 5.0


class StubProcess:
    """``url``: where guests find it; ``child``: in which it runs."""

    def __init__(self, url: str, child: Child) -> None:
        self.url = url
        self._child = child
        self._usage = Usage()

    async def counts(self) -> Counts:
        """What came so far. Raises ``Unavailable``."""
        async with Channel(Api(url=self.url, token=""), connections=1, answer_s=_READY_S) as channel:
            return msgspec.json.decode(await channel.send(channel.request("GET", "/counts")), type=Counts)

    async def sample(self) -> Sample:
        """What it has used so far."""
        (found,) = await asyncio.to_thread(self._usage.samples, {PART: [self._child.pid]}, {})
        return found


@asynccontextmanager
async def stub_process(bind: str, latency: str) -> AsyncIterator[StubProcess]:
    """Runs one while the block lasts. Raises ``Unavailable`` if it cannot listen there."""
    with tempfile.TemporaryDirectory(prefix="mvm-ci-stub-") as directory:
        command = ("-m", "mvm_ci.loadtest.stub", "--bind", bind, "--latency", latency)
        child = Child("stub", command, Path(directory), {})
        try:
            await child.until(lambda: "stub: " in child.said.read_text(), "it listens", _READY_S)
            yield StubProcess(child.said.read_text().removeprefix("stub: ").strip(), child)
        finally:
            await child.stop(_END_S)
