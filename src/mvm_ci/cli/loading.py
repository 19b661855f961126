"""What the options of ``mvm-ci loadtest`` mean: the cluster, the loads, the files."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from mvm_ci.capacity.curve import Run as Shown
from mvm_ci.capacity.results import Result
from mvm_ci.cli.capacity import write
from mvm_ci.cli.connection import open_client
from mvm_ci.cli.options import credentials
from mvm_ci.config.parsers import is_ticket
from mvm_ci.domain.errors import BadInput
from mvm_ci.loadtest.asked import Asked, Load
from mvm_ci.loadtest.bench import check_stub
from mvm_ci.loadtest.commands import Local
from mvm_ci.loadtest.fleet import Api, Fleet
from mvm_ci.loadtest.local import LocalFleet
from mvm_ci.loadtest.report.markdown import markdown
from mvm_ci.loadtest.report.page import page
from mvm_ci.loadtest.running import RunningFleet
from mvm_ci.loadtest.soak import Soaking

if TYPE_CHECKING:
    from mvm_ci.config.credentials import Credentials
    from mvm_ci.loadtest.profiles import Profile
    from mvm_ci.loadtest.run import Started

_LOCAL_WORKERS: Final = (1, 2, 5, 10)
_SHORTEST_S: Final = 30.0
_TIMED: Final[Mapping[str, float]] = {"noop": 0.0, "wait": 100.0}
"""How long a job of a simulated engine takes, in milliseconds."""


class Given(NamedTuple):
    """The options that say what is loaded."""

    local: bool
    options: tuple[int, ...]
    simulated: bool
    slots: int
    kill: str | None
    url: str | None
    token_file: str | None


class Target(NamedTuple):
    """``workers``: of the ramp, unless somebody says others; ``stub``: where one is to listen, or nothing;
    ``option``: where the engine of a running cluster is, if that was said.
    """

    fleets: "list[Started]"
    address: str
    workers: tuple[int, ...]
    stub: str
    option: int | None


def target(given: Given, profiles: Mapping[str, "Profile"], stub_bind: str) -> Target:
    """What is loaded. Raises ``BadInput`` for what does not go together, ``Misconfigured``."""
    stub = stub_bind if check_stub(tuple(profiles.values()), stub_bind) else ""
    if not given.local:
        return _running(given, stub)
    if given.kill is not None:
        raise BadInput("--kill is for a running cluster; with --local workers are killed without it")
    options = given.options or (1,)
    service_ms = 0.0
    if given.simulated and 1 in options:
        if tuple(profiles) not in {(name,) for name in _TIMED}:
            raise BadInput(
                "--simulated with --option 1: no guest runs, so it can only be --jobs noop or --jobs wait"
            )
        service_ms = _TIMED[next(iter(profiles))]
    host = stub.rpartition(":")[0].strip("[]")
    fleets = [
        _local(
            Local(
                option=option,
                slots=given.slots,
                simulated=given.simulated,
                service_ms=service_ms,
                stub=host,
            )
        )
        for option in options
    ]
    return Target(fleets, "local", _LOCAL_WORKERS, stub, None)


def _running(given: Given, stub: str) -> Target:
    if given.simulated:
        raise BadInput("--simulated needs --local: it starts its workers itself")
    if len(given.options) > 1:
        raise BadInput("--option: a running cluster has its engine in one place; say which")
    found = credentials(given.url, given.token_file)
    if is_ticket(found.url):
        raise BadInput("a ticket leads to the API, but not fast enough for a load; give --url http://…")
    workers = asyncio.run(_connected(found))
    if not workers:
        raise BadInput(f"no worker is connected to {found.url}; start one, or load this machine with --local")
    option = given.options[0] if given.options else None
    return Target([_there(found, given.kill or "")], found.url, (workers,), stub, option)


async def _connected(found: "Credentials") -> int:
    async with open_client(found) as client:
        return await (await RunningFleet.of(client, _api(found))).connected()


def _api(found: "Credentials") -> Api:
    return Api(url=found.url, token=found.token, namespace=found.namespace)


def _local(what: Local) -> "Started":
    @asynccontextmanager
    async def started() -> AsyncIterator[Fleet]:
        fleet = await LocalFleet.start(what)
        try:
            yield fleet
        finally:
            await fleet.close()

    return started


def _there(found: "Credentials", kill: str) -> "Started":
    @asynccontextmanager
    async def started() -> AsyncIterator[Fleet]:
        async with open_client(found) as client:
            fleet = await RunningFleet.of(client, _api(found), kill)
            try:
                yield fleet
            finally:
                await fleet.close()

    return started


def loads(rates: Sequence[float], scenarios: Sequence[str], in_flight: int | None) -> tuple[Load, ...]:
    """All that was asked for; one request at once for each worker if nothing was."""
    found = [Load(rate=rate) for rate in rates]
    found += [Load(at_once=int(one)) for one in scenarios]
    if in_flight is not None or not found:
        found.append(Load(per_worker=in_flight or 1))
    return tuple(found)


def soak(asked: Asked, duration_s: float | None, kill_every_s: float | None) -> Soaking | None:
    """What was asked for. Raises ``BadInput`` for what does not go together."""
    if duration_s is None:
        if kill_every_s is not None:
            raise BadInput("--kill-every is for a soak: give --duration, too")
        return None
    if duration_s < _SHORTEST_S:
        raise BadInput(f"--duration: {duration_s:g} s show nothing; give {_SHORTEST_S:g}s or more")
    if len(list(asked.steps())) != 1:
        raise BadInput(
            "--duration: a soak is one load; give one of --workers, one of --jobs, and one of --rate, "
            "--in-flight or --scenario"
        )
    return Soaking(duration_s=duration_s, kill_every_s=kill_every_s)


class Files:
    """Where a result goes. Raises ``BadInput`` if that cannot be written: now, and not in half an hour."""

    def __init__(self, output: Path | None, html: Path | None, markdown: Path | None) -> None:
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        self.output = output or Path(f"loadtest-{moment}.json")
        self._html, self._markdown = html, markdown
        for flag, file in (("--output", self.output), ("--html", html), ("--markdown", markdown)):
            if file is not None:
                new = not file.exists()
                write(flag, file, "", mode="a")
                if new:
                    file.unlink()  # a run that cannot begin leaves nothing

    @property
    def names(self) -> tuple[str, ...]:
        """Of those that are written."""
        return tuple(str(one) for one in (self.output, self._html, self._markdown) if one is not None)

    async def keep(self, result: Result) -> None:
        """Writes down what was found until now."""
        await asyncio.to_thread(self._data, result)

    def write(self, result: Result) -> None:
        """Writes all of them."""
        self._data(result)
        shown = [Shown(name=self.output.name, result=result)]
        if self._html is not None:
            write("--html", self._html, page(shown))
        if self._markdown is not None:
            write("--markdown", self._markdown, markdown(shown))

    def _data(self, result: Result) -> None:
        write("--output", self.output, msgspec.json.encode(result).decode() + "\n")
