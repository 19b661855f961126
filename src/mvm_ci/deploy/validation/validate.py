"""The whole of a validation: its phases one after the other, and the report, also of one that was ended
early.
"""

import asyncio
from typing import Final

import msgspec

from mvm_ci.client import ApiClient
from mvm_ci.deploy.validation import judge
from mvm_ci.deploy.validation.bench import Bench, Gone
from mvm_ci.deploy.validation.durable import Found, durable
from mvm_ci.deploy.validation.events import arrive, follow
from mvm_ci.deploy.validation.figures import figures, series
from mvm_ci.deploy.validation.load import Load, sweep, sweep_always
from mvm_ci.deploy.validation.loss import Killed
from mvm_ci.deploy.validation.report import Check, Moment, Outcome, Report
from mvm_ci.deploy.validation.samples import Samples, look_at_fleet
from mvm_ci.deploy.validation.text import line
from mvm_ci.deploy.validation.tidying import Tidy
from mvm_ci.domain.errors import MvmCiError
from mvm_ci.ports.progress import Progress

INTERRUPTED: Final = "interrupted"
"""What ended a validation that was cancelled."""
SHORTEST_S: Final = 10.0
"""A load below this shows nothing."""
_DRAIN_S: Final = 120.0
_SWEEP_S: Final = 10.0
_LATE_EVENTS_S: Final = 1.0
_LOOK_S: Final = 0.2
_SAMPLES: Final = 360


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do. ``workers``: how many there must be, None: one at least; ``rate``: jobs a second; ``kill``:
    a command for the shell that kills the worker ``$MVM_CI_WORKER``.
    """

    url: str
    namespace: str
    queue: str
    workers: int | None
    join_timeout_s: float
    duration_s: float
    rate: float
    kill: str | None


class Validation:
    """One. ``run`` it once."""

    def __init__(self, client: ApiClient, plan: Plan, progress: Progress) -> None:
        self._plan = plan
        self._progress = progress
        self._checks: dict[str, Check] = {}
        self._version = ""
        self._given_up = self._gone = ""
        """Why there was no going on; why the control plane is taken to be gone."""
        self._loaded_s = 0.0
        self._whole = False
        self._tidy = Tidy(client)
        self._bench = Bench(client, plan.queue, self._tidy.push)
        self._load = Load(self._bench, plan.rate)
        # So many in all, if that is not more often than every second, nor less often than every five.
        self._samples = Samples(self._bench, min(5.0, max(1.0, plan.duration_s / _SAMPLES)))

    async def run(self) -> Report:
        """Runs it. Raises ``MvmCiError`` if it cannot begin; after that there is always a report: whoever
        cancels it gets one of what was found until then.
        """
        self._version = (await self._bench.client.status()).version
        self._bench.module = await self._tidy.push()
        ended_by = ""
        try:
            await self._phases()
        except asyncio.CancelledError:
            ended_by = INTERRUPTED
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        except Exception:
            await self._tidy.clean(
                self._bench.selection()
            )  # a mistake of ours leaves nothing of theirs behind either
            raise
        self._progress.phase("cleaning up", 0)
        took_s = self._bench.now_s()
        left = await self._tidy.clean(self._bench.selection())
        return self._report(ended_by or self._given_up, took_s, left)

    async def _phases(self) -> None:
        bench = self._bench
        try:
            async with asyncio.TaskGroup() as group:
                watches = (follow(bench), bench.look(), self._samples.fleet(), self._samples.metrics())
                tasks = [group.create_task(watch) for watch in watches]
                await self._work()
                for task in tasks:
                    task.cancel()
        except* Gone as errors:
            self._gone = self._given_up = _first(errors)
        except* MvmCiError as errors:
            # A quota that is used up, a token that was revoked.
            self._given_up = _first(errors)
            bench.ledger.problem(bench.now_s(), "", f"the validation could not go on: {self._given_up}")

    async def _work(self) -> None:
        bench = self._bench
        await look_at_fleet(bench)
        if not self._check(judge.WORKERS, await self._workers()):
            return
        self._progress.phase("jobs on the durable engine", 0)
        if not await arrive(bench):
            self._check(judge.UPDATES, (Outcome.FAILED, "no event comes of a job that was submitted", []))
            return
        if not self._check(judge.EXECUTION, await durable(bench)):
            return
        await self._under_load()
        await self._drain()
        self._whole = True

    async def _workers(self) -> Found:
        plan, fleet = self._plan, self._bench.fleet
        wanted = plan.workers or 1
        self._progress.phase("waiting for workers", plan.join_timeout_s)
        began_s = self._bench.now_s()
        while (waited_s := self._bench.now_s() - began_s) < plan.join_timeout_s:
            if len(fleet.connected()) >= wanted:
                break
            self._progress.goes_on(waited_s, f"{len(fleet.connected())} connected")
            await asyncio.sleep(_LOOK_S)
        there = fleet.connected()
        told = [f"{one.name}: {one.path}, {one.slots} slots, {one.version}, {one.platform}" for one in there]
        if not there:
            hint = "start one with: mvm-ci worker --ticket-file FILE --join-token-file FILE"
            return Outcome.FAILED, f"no worker is connected after {waited_s:.0f} s; {hint}", told
        if len(there) < wanted:
            return Outcome.FAILED, f"{len(there)} of {wanted} are connected after {waited_s:.0f} s", told
        return Outcome.PASSED, f"{len(there)} connected, {wanted} wanted", told

    async def _under_load(self) -> None:
        plan, bench = self._plan, self._bench
        began_s = bench.now_s()
        self._progress.phase(f"load of {plan.rate:g} jobs a second", plan.duration_s)
        async with asyncio.TaskGroup() as group:
            sweeping = group.create_task(sweep_always(bench))
            telling = group.create_task(self._tell(began_s))
            killing = group.create_task(self._kill(plan.kill, plan.duration_s / 4)) if plan.kill else None
            try:
                await self._load.run(plan.duration_s)
                if killing is not None:
                    await killing
            finally:
                self._loaded_s = bench.now_s() - began_s
                sweeping.cancel()
                telling.cancel()

    async def _kill(self, command: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self._check(judge.LOSS, await Killed(self._bench, command).run())

    async def _tell(self, began_s: float) -> None:
        bench = self._bench
        while True:
            entries = len(bench.ledger.entries)
            text = f"{entries} jobs, {len(bench.ledger.open)} open, {bench.ledger.wrong} problems"
            self._progress.goes_on(bench.now_s() - began_s, text)
            await asyncio.sleep(1)

    async def _drain(self) -> None:
        """Waits for what is open, closes the books."""
        bench = self._bench
        self._progress.phase("waiting for the last jobs", _DRAIN_S)
        began_s = swept_s = bench.now_s()
        while bench.ledger.open and (now := bench.now_s()) - began_s < _DRAIN_S:
            if now - swept_s >= _SWEEP_S:
                await sweep(bench)
                swept_s = now
            self._progress.goes_on(now - began_s, f"{len(bench.ledger.open)} open")
            await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(_LATE_EVENTS_S)
        await sweep(bench)
        bench.ledger.close(bench.now_s())

    def _check(self, name: str, found: Found) -> bool:
        outcome, text, details = found
        self._checks[name] = check = judge.check(name, outcome, text, details)
        self._progress.told(line(check))
        return outcome is Outcome.PASSED

    def _report(self, ended_by: str, took_s: float, left: tuple[str, ...]) -> Report:
        plan, bench, samples = self._plan, self._bench, self._samples
        growths = judge.growths(samples.points)
        self._judge(took_s, judge.leaking(growths, self._loaded_s, samples.refused))
        return Report(
            url=plan.url,
            version=self._version,
            namespace=plan.namespace,
            queue=plan.queue,
            began_ms=bench.began_ms,
            took_s=took_s,
            duration_s=plan.duration_s,
            complete=self._whole and not ended_by,
            ended_by=ended_by,
            checks=tuple(self._checks[name] for name in judge.TITLES),
            jobs=bench.ledger.kinds(),
            delays=bench.delays.summaries(),
            clock_ahead_ms=bench.delays.ahead_ms,
            clock_uncertain_ms=bench.delays.uncertain_ms,
            growth=tuple(growths),
            figures=figures(bench, samples),
            problems=tuple(bench.ledger.problems),
            moments=tuple(Moment(*moment) for moment in bench.fleet.moments()),
            series=series(bench, samples, took_s),
            left=left,
        )

    def _judge(self, took_s: float, leaking: Check) -> None:
        """The checks that the whole run makes; what was ended early has passed none of them."""
        bench = self._bench
        ledger, fleet = bench.ledger, bench.fleet
        found = (
            judge.control_plane(fleet, self._version, took_s, self._gone),
            judge.updates(ledger, bench.delays, bench.watched_s, bench.holes),
            judge.fleet(fleet.losses, len(fleet.workers)),
            judge.jobs(ledger, self._load.held_s, self._load.refused),
            leaking,
        )
        if judge.LOSS in self._checks:
            self._checks[judge.LOSS] = judge.with_return(self._checks[judge.LOSS], fleet.losses)
        for check in found:
            passed = check.outcome is Outcome.PASSED and not self._whole
            text = f"until then: {check.text}"
            self._checks.setdefault(
                check.name,
                msgspec.structs.replace(check, outcome=Outcome.UNFINISHED, text=text) if passed else check,
            )
        for name in judge.TITLES:
            asked = name != judge.LOSS or self._plan.kill is not None
            left_out = (Outcome.UNFINISHED, "") if asked else (Outcome.NOT_JUDGED, "ask for it with --kill")
            self._checks.setdefault(name, judge.check(name, *left_out))


def _first(errors: BaseExceptionGroup[MvmCiError]) -> str:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return str(found)
