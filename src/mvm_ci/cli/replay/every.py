"""Replaying all executions that have not ended, before an upgrade."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from mvm_ci.cli import output
from mvm_ci.cli.job.selection import Selection
from mvm_ci.cli.replay.builds import Build, builds_by_module
from mvm_ci.cli.replay.fetching import Fetcher
from mvm_ci.cli.replay.shown import agrees, as_fields, in_words, kind
from mvm_ci.client import ApiClient
from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.job import FINAL, JobState
from mvm_ci.wire.api import JobSelection, JobView
from mvm_ci.wiring.replay import Replayed, Replays

UNFINISHED: Final = tuple(state.label for state in JobState if state not in FINAL)
SHOWN: Final = 20
"""Jobs of a module that are named because they do not agree; JSON has all of them."""
_AT_ONCE: Final = 4
_VERDICTS: Final = ("agrees", "departs", "damaged", "undecided")


@dataclass
class _Module:
    """What came of the jobs of one module."""

    name: str
    build: Build | None
    counts: Counter[str] = field(default_factory=Counter)
    others: list[tuple[str, Replayed]] = field(default_factory=list)
    """Those that do not agree."""


async def replay_all(
    client: ApiClient,
    cache: Path,
    selection: Selection,
    options: tuple[str, ...],
    time_s: float | None,
    *,
    as_json: bool,
) -> bool:
    """Whether all agree."""
    builds = await builds_by_module(client, options)
    names = {view.digest: view.name for view in await client.modules()}
    which = await selection.find(client)
    if not which.states:
        which = msgspec.structs.replace(which, states=UNFINISHED)
    at_once = min(os.cpu_count() or 1, _AT_ONCE)
    async with Replays(cache, at_once) as replays:
        every = _Every(client, Fetcher(client, replays, time_s), builds, names)
        await every.replay(which, at_once)
    if as_json:
        output.print_json(_document(every.found))
    else:
        _show(every.found)
    return not any(module.others for module in every.found.values())


class _Every:
    """``found``: what came of it, by module."""

    def __init__(
        self, client: ApiClient, fetcher: Fetcher, builds: Mapping[str, Build], names: Mapping[str, str]
    ) -> None:
        self._client = client
        self._fetcher = fetcher
        self._builds = builds
        self._names = names
        self._listing = asyncio.Lock()
        self.found: dict[str, _Module] = {}

    async def replay(self, which: JobSelection, at_once: int) -> None:
        """Replays what is selected and has begun. Raises ``MvmCiError``."""
        jobs = self._client.all_jobs(which)
        tasks = [asyncio.create_task(self._some(jobs)) for _ in range(at_once)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _some(self, jobs: AsyncIterator[JobView]) -> None:
        while True:
            async with self._listing:
                view = await anext(jobs, None)
            if view is None:
                return
            if view.journal_length and (not self._builds or view.module in self._builds):
                await self._one(view)

    async def _one(self, view: JobView) -> None:
        build = self._builds.get(view.module)
        try:
            recording = await self._fetcher.recording(view.id)
        except NotFound:
            return  # it was deleted meanwhile
        replayed = await self._fetcher.replay(recording, build)
        name = self._names.get(view.module, view.name)
        module = self.found.setdefault(view.module, _Module(name, build))
        module.counts[kind(replayed.verdict)] += 1
        if not agrees(replayed):
            module.others.append((view.id, replayed))


def _document(found: Mapping[str, _Module]) -> dict[str, Any]:
    modules = [
        {
            "module": digest,
            "name": module.name,
            "build": None if module.build is None else module.build.digest,
            "jobs": module.counts.total(),
            **{word: module.counts[word] for word in _VERDICTS},
        }
        for digest, module in sorted(found.items())
    ]
    jobs = [
        {"job": job, "module": digest, **as_fields(replayed)}
        for digest, module in sorted(found.items())
        for job, replayed in sorted(module.others, key=itemgetter(0))
    ]
    return {"modules": modules, "jobs": jobs}


def _show(found: Mapping[str, _Module]) -> None:
    output.print_table(
        ("MODULE", "DIGEST", "BUILD", "JOBS", *(word.upper() for word in _VERDICTS)),
        (
            (
                module.name,
                digest[:12],
                "its own" if module.build is None else module.build.file,
                module.counts.total(),
                *(module.counts[word] for word in _VERDICTS),
            )
            for digest, module in sorted(found.items())
        ),
        cut=("MODULE", "BUILD"),
    )
    for _, module in sorted(found.items()):
        for job, replayed in sorted(module.others, key=itemgetter(0))[:SHOWN]:
            click.echo(f"{job}: {output.safe_line(in_words(replayed))}")
        if len(module.others) > SHOWN:
            output.note(f"{len(module.others) - SHOWN} more of {module.name} are in --json")
