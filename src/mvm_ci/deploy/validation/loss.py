"""The loss of a worker: a command kills it, and its jobs must go on as if nothing had happened."""

import asyncio
from collections import Counter
from typing import Final

from mvm_ci.adapters.shell import kill_worker
from mvm_ci.deploy.validation.bench import Bench
from mvm_ci.deploy.validation.durable import Found
from mvm_ci.deploy.validation.guest import Program, journal_problem
from mvm_ci.deploy.validation.ledger import Entry
from mvm_ci.deploy.validation.report import Outcome
from mvm_ci.domain.errors import Unavailable
from mvm_ci.wire.api import JobView, JournalEntry, WorkerView

_STEPS: Final = Program(kind="long", steps="tr" + "z1000tr" * 30)
_JOBS: Final = 4
_PLACED_S: Final = 30.0
_LOST_S: Final = 180.0
_ENDED_S: Final = 240.0
_ENOUGH: Final = 8
"""Entries of a journal by which its job is well under way."""


class Killed:
    """The job of the loss. ``worker``: which one was killed."""

    def __init__(self, bench: Bench, command: str) -> None:
        self.worker: WorkerView | None = None
        self._bench = bench
        self._command = command

    async def run(self) -> Found:
        """Kills a worker that has jobs of ours. Raises ``Gone``."""
        bench = self._bench
        if len(bench.fleet.connected()) < 2:
            return Outcome.FAILED, "only one worker is connected: nobody is there to go on with its jobs", []
        jobs = await bench.submit([_STEPS] * _JOBS)
        held = await self._placed(jobs)
        if self.worker is None:
            return Outcome.FAILED, f"no worker runs {', '.join(jobs)} after {_PLACED_S:.0f} s", []
        before = {view.id: await bench.journal(view.id) for view in held}
        began_s = bench.now_s()
        said = await self._kill(self.worker)
        if said is not None:
            return Outcome.FAILED, said, []
        lost_s = await self._lost(self.worker)
        if lost_s is None:
            return (
                Outcome.FAILED,
                f"the session of {self.worker.name} still stands {_LOST_S:.0f} s after it was to be killed",
                [],
            )
        return await self._went_on(self.worker.name, held, before, lost_s - began_s)

    async def _placed(self, jobs: list[str]) -> list[JobView]:
        """The jobs at the worker that has most of them, as soon as they are well under way."""
        bench = self._bench
        end = bench.now_s() + _PLACED_S
        while bench.now_s() < end:
            views = [await bench.patiently(bench.client.job, job) for job in jobs]
            running = [view for view in views if view.journal_length >= _ENOUGH and view.worker is not None]
            names = Counter(view.worker for view in running)
            # A name that several workers have says nothing.
            known = Counter(worker.name for worker in bench.fleet.connected())
            for name, _ in names.most_common():
                if len(running) == len(jobs) and known[str(name)] == 1:
                    (self.worker,) = [one for one in bench.fleet.connected() if one.name == name]
                    return [view for view in running if view.worker == name]
            await asyncio.sleep(0.2)
        return []

    async def _kill(self, worker: WorkerView) -> str | None:
        """Runs the command: what went wrong."""
        try:
            await kill_worker(self._command, name=worker.name, worker=worker.id)
        except Unavailable as error:
            return str(error)
        return None

    async def _lost(self, worker: WorkerView) -> float | None:
        """When its session was over."""
        end = self._bench.now_s() + _LOST_S
        while self._bench.now_s() < end:
            for loss in self._bench.fleet.losses:
                if loss.worker == worker.id:
                    loss.wanted = True
                    return loss.at_s
            await asyncio.sleep(0.1)
        return None

    async def _went_on(
        self, name: str, held: list[JobView], before: dict[str, list[JournalEntry]], noticed_s: float
    ) -> Found:
        told: list[str] = []
        hit = 0
        for view in held:
            entry = await self._bench.settled(view.id, _ENDED_S)
            if entry is None:
                return (
                    Outcome.FAILED,
                    f"the job {view.id} of {name} has not ended within {_ENDED_S:.0f} s",
                    told,
                )
            after = await self._bench.journal(view.id)
            if entry.epoch == view.epoch:
                told.append(f"{view.id} had ended before the worker was lost")
                continue
            problem = _wrong(entry, view, before[view.id], after) or journal_problem(
                entry.program, str(entry.result), after
            )
            if problem is not None:
                return Outcome.FAILED, f"the job {view.id}: {problem}", told
            hit += 1
            places = dict.fromkeys(one.place for one in after if one.epoch > view.epoch)
            kept = sum(one.epoch <= view.epoch for one in after)
            where = f"{kept} entries at {name}, then {len(after) - kept} at {', '.join(places)}"
            told.append(f"{view.id}: {where} in epoch {entry.epoch}; each effect once")
        if not hit:
            return (
                Outcome.FAILED,
                f"all jobs of {name} had ended before it was lost: was it killed in time?",
                told,
            )
        went_on = f"its {hit} jobs went on in a new epoch"
        return (
            Outcome.PASSED,
            f"{name} was killed, its session was over {noticed_s:.1f} s later, {went_on}",
            told,
        )


def _wrong(
    entry: Entry, before: JobView, written: list[JournalEntry], after: list[JournalEntry]
) -> str | None:
    if entry.epoch <= before.epoch or entry.losses != before.losses + 1:
        return f"it lost its worker {entry.losses - before.losses} times, and not once; epoch {entry.epoch}"
    if [(one.index, one.kind, one.fields) for one in after[: len(written)]] != [
        (one.index, one.kind, one.fields) for one in written
    ]:
        return "what its lost worker had written to the journal has changed"
    return None
