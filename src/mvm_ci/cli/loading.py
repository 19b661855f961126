"""What the options of ``mvm-ci loadtest`` mean: the cluster, the loads, the files."""

import asyncio
import os
import secrets
import shlex
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from mvm_ci.capacity.curve import Run as Shown
from mvm_ci.capacity.results import Result
from mvm_ci.cli.capacity import check_writable, write
from mvm_ci.cli.connection import open_client
from mvm_ci.cli.options import credentials
from mvm_ci.config.parsers import address, is_ticket
from mvm_ci.domain.errors import BadInput
from mvm_ci.durable_files import write_whole
from mvm_ci.loadtest.asked import Asked, Load
from mvm_ci.loadtest.commands import Local
from mvm_ci.loadtest.fleet import Api, Fleet
from mvm_ci.loadtest.local import LocalFleet
from mvm_ci.loadtest.profiles import Profile, profile, read_profile
from mvm_ci.loadtest.report.markdown import markdown
from mvm_ci.loadtest.report.page import page
from mvm_ci.loadtest.running import RunningFleet
from mvm_ci.loadtest.soak import Soaking

if TYPE_CHECKING:
    from mvm_ci.config.credentials import Credentials
    from mvm_ci.loadtest.run import Started

_LOCAL_WORKERS: Final = (1, 2, 5, 10)
_SHORTEST_S: Final = 30.0
_USUAL: Final = "wait"
_KILL: Final = "--kill"


class Given(NamedTuple):
    """The options that say what is loaded. ``said``: the other options that were given, with their dashes."""

    local: bool
    options: tuple[int, ...]
    simulated: bool
    slots: int
    kill: str | None
    kill_every_s: float | None
    url: str | None
    token_file: str | None
    said: frozenset[str] = frozenset()


class Target(NamedTuple):
    """``workers``: of the ramp, unless somebody says others; ``stub``: where one is to listen, or nothing;
    ``option``: where the engine of a running cluster is, if that was said; ``most``: workers that there are;
    None: as many as are wanted.
    """

    fleets: "list[Started]"
    address: str
    workers: tuple[int, ...]
    stub: str
    option: int | None = None
    most: int | None = None

    def ramp(self, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """Numbers of workers. Raises ``BadInput`` if there are not so many."""
        if self.most is not None and max(wanted, default=1) > self.most:
            raise BadInput(
                f"--workers: {self.most} workers are connected and take jobs, and not {max(wanted)}: start "
                "more, or ask for fewer"
            )
        return wanted or self.workers


def command(arguments: Sequence[str]) -> str:
    """What was typed, as a result says it: without the command that kills, which may hold secrets."""
    told: list[str] = []
    for word in arguments:
        if told and told[-1] == _KILL:
            told.append("…")
        elif word.startswith(f"{_KILL}="):
            told.append(f"{_KILL}=…")
        else:
            told.append(word)
    return shlex.join(("mvm-ci", *told))


def profiles_of(names: Sequence[str], file: Path | None) -> dict[str, Profile]:
    """By name, what ``--jobs`` and ``--jobs-file`` say. Raises ``BadInput``."""
    found = [profile(name) for name in names]
    if file is not None:
        found.append(read_profile(file))
    return {one.name: one for one in found or [profile(_USUAL)]}


def target(given: Given, profiles: Mapping[str, Profile], stub_bind: str) -> Target:
    """What is loaded. Raises ``BadInput`` for what does not go together, ``Misconfigured``."""
    asks = any(one.asks for one in profiles.values())
    host = _stub_host(stub_bind) if asks else ""
    stub = stub_bind if asks else ""
    if not given.local:
        return _running(given, stub)
    if given.kill is not None:
        raise BadInput("--kill is for a running cluster; with --local workers are killed without it")
    if given.url is not None or given.token_file is not None:
        raise BadInput("--url and --token-file are for a running cluster; --local starts one of its own")
    if given.simulated and given.kill_every_s is not None:
        raise BadInput("--kill-every: simulated workers share a process; leave out --simulated")
    options = given.options or (1,)
    service_ms = 0.0
    if given.simulated and 1 in options:
        waits_ms = next(iter(profiles.values())).waits_ms
        if len(profiles) > 1 or waits_ms is None:
            raise BadInput(
                "--simulated with --option 1: no guest runs, so jobs can only wait: give --jobs noop or "
                "--jobs wait"
            )
        service_ms = waits_ms
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
    return Target(fleets, "local", _LOCAL_WORKERS, stub)


def _stub_host(bind: str) -> str:
    """Its IP. Raises ``BadInput`` for what is no address that guests can be given."""
    try:
        host = address(bind).host
        anywhere = ip_address(host).is_unspecified
    except ValueError:
        raise BadInput(f"--stub-bind: {bind!r} is not IP:PORT, as 127.0.0.1:0") from None
    if anywhere:
        raise BadInput(f"--stub-bind: {bind}: give the one address by which workers reach this machine")
    return host


def _running(given: Given, stub: str) -> Target:
    for flag, there in (("--simulated", given.simulated), ("--slots", "--slots" in given.said)):
        if there:
            raise BadInput(f"{flag} needs --local: workers of a running cluster are as they are")
    if len(given.options) > 1:
        raise BadInput("--option: a running cluster has its engine in one place; say which")
    if (given.kill is None) != (given.kill_every_s is None):
        raise BadInput("--kill-every says how often a worker is killed, --kill how: give both, or neither")
    found = credentials(given.url, given.token_file)
    if is_ticket(found.url):
        raise BadInput("a ticket leads to the API, but not fast enough for a load; give --url http://…")
    workers = asyncio.run(_connected(found))
    if not workers:
        raise BadInput(f"no worker is connected to {found.url}; start one, or load this machine with --local")
    option = given.options[0] if given.options else None
    return Target([_there(found, given.kill or "")], found.url, (workers,), stub, option, workers)


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


def soak(
    asked: Asked, duration_s: float | None, kill_every_s: float | None, said: frozenset[str]
) -> Soaking | None:
    """What was asked for. Raises ``BadInput`` for what does not go together."""
    if duration_s is None:
        if kill_every_s is not None:
            raise BadInput("--kill-every is for a soak: give --duration, too")
        return None
    if duration_s < _SHORTEST_S:
        raise BadInput(f"--duration: {duration_s:g} s show nothing; give {_SHORTEST_S:g}s or more")
    if ignored := sorted(said & {"--measure", "--repetitions"}):
        raise BadInput(f"{' and '.join(ignored)}: a soak is measured once, for all of --duration")
    if kill_every_s is not None and kill_every_s >= duration_s:
        raise BadInput(
            f"--kill-every: no worker is killed in a soak of {duration_s:g} s; give less than that"
        )
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
        self._draft = f".loadtest-{secrets.token_hex(8)}.part"
        self._writing = threading.Lock()
        flags: dict[Path, str] = {}
        for flag, file in (("--output", self.output), ("--html", html), ("--markdown", markdown)):
            if file is None:
                continue
            if (other := flags.setdefault(file.resolve(), flag)) != flag:
                raise BadInput(f"{flag} {file}: {other} goes there; give another file")
            mode = check_writable(flag, file)
            if flag == "--output":
                self._mode = mode
        self._whole = self.output.is_file() or not self.output.exists()
        """Not so for a device, which nothing can replace."""
        if self._whole and not os.access(self.output.resolve().parent, os.W_OK):
            raise BadInput(
                f"--output {self.output}: its directory is not writable, where a new one replaces it"
            )

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
        """Whoever reads it meanwhile, or after a crash, finds this one or the one before."""
        text = msgspec.json.encode(result).decode() + "\n"
        if not self._whole:
            write("--output", self.output, text)
            return
        try:
            # One that was interrupted may still be at it.
            with self._writing:
                write_whole(self.output.resolve(), text, draft=self._draft, mode=self._mode)
        except OSError as error:
            raise BadInput(f"--output {self.output}: {error.strerror}") from None
