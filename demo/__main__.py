"""The demo: a durable job outlives the worker that runs it.

A control plane and two workers run as real processes. A job checks the links of a website; in the middle the
worker that has it is killed with SIGKILL. The other worker goes on, and the website's own access log shows
what was asked twice: nothing (``--kill sleep``), or the one request that was under way (``--kill request``).
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from demo.report import DemoFailed, check, show
from demo.website import Site, serve
from mvm_ci.client import ApiClient
from mvm_ci.client.waiting import STANDING
from mvm_ci.domain.errors import MvmCiError
from mvm_ci.testing.cluster import Cluster, ClusterFailed
from mvm_ci.wire.api import JobView, JournalEntry, LogRange, SubmitJob

ROOT = Path(__file__).resolve().parent.parent
JOB = ROOT / "guest" / "examples" / "link_checker" / "job.py"
WORKERS = ("worker-1", "worker-2")
DELAY_SECONDS = 0.3
PATIENCE_SECONDS = 150.0
WHOLE = LogRange()


class Story:
    """One run of the job: watches it, kills its worker, waits for its end."""

    def __init__(self, client: ApiClient, cluster: Cluster, site: Site, bar: Progress) -> None:
        self.client = client
        self.cluster = cluster
        self.site = site
        self.bar = bar
        self.task = bar.add_task("checking the site", total=site.urls)
        self.deadline = time.monotonic() + PATIENCE_SECONDS
        self.victim = ""

    async def submit(self) -> str:
        """Builds the job, stores it and submits it; returns the job's id."""
        built = self.cluster.directory / "link-checker.wasm"
        await asyncio.to_thread(self.cluster.ok, "build", str(JOB), "--output", str(built))
        module = await self.client.push_module(built.read_bytes(), "link-checker")
        question = {
            "url": f"http://{self.site.address}/index.html",
            "delay_s": DELAY_SECONDS,
            "max_pages": 200,
        }
        job = SubmitJob(
            module=module.digest,
            name="link-checker",
            input=msgspec.Raw(msgspec.json.encode(question)),
            allow_hosts=(self.site.address,),
        )
        (view,) = await self.client.submit([job])
        return view.id

    async def until(self, fact: Callable[[], Awaitable[bool]], what: str) -> None:
        """Waits for a fact, moving the bar with the website's access log meanwhile."""
        while not await fact():
            self.cluster.check(self.victim)
            self.bar.update(self.task, completed=len({hit.path for hit in self.site.hits}))
            if time.monotonic() > self.deadline:
                raise DemoFailed(f"{what} took longer than {PATIENCE_SECONDS:.0f} s")
            await asyncio.sleep(0.03)

    async def running(self, job: str) -> JobView:
        """The job, which must not have ended yet."""
        view = await self.client.job(job)
        if view.state in STANDING:
            raise DemoFailed(f"the job is {view.state} too early: {view.failure}")
        return view

    async def kill(self, job: str, when: str) -> str:
        """Kills the worker that has the job, in a sleep or in a request; returns the worker's name."""
        holder: str | None = None
        seen = -1
        looked = 0.0

        async def asleep() -> bool:
            """Whether a sleep has begun since the last look: there is time left in it to kill."""
            nonlocal holder, seen, looked
            holder = (await self.running(job)).worker
            if len(self.site.hits) * 2 < self.site.urls:
                return False
            before, looked = looked, time.monotonic()
            entries = await self.journal(job, LogRange(first=seen + 1))
            if not entries:
                return False
            seen = entries[-1].index
            return entries[-1].kind == "Slept" and time.monotonic() - before < DELAY_SECONDS / 2

        async def asking() -> bool:
            nonlocal holder
            holder = (await self.running(job)).worker
            return self.site.slow_begun.is_set()

        await self.until(asking if when == "request" else asleep, "reaching the moment to kill")
        if holder not in WORKERS:
            raise DemoFailed(f"no worker holds the job at the moment to kill it (holder: {holder})")
        self.victim = holder
        worker = next(process for process in self.cluster.processes if process.name == holder)
        worker.end(signal.SIGKILL)
        self.bar.update(self.task, description=f"{holder} killed, its lease runs out")
        return holder

    async def finish(self, job: str, victim: str) -> JobView:
        """Waits for the job's end."""
        before = len(self.site.hits)

        async def ended() -> bool:
            if len(self.site.hits) > before:
                other = next(name for name in WORKERS if name != victim)
                self.bar.update(self.task, description=f"{other} goes on")
            return (await self.client.job(job)).state in STANDING

        await self.until(ended, "finishing on the other worker")
        view = await self.client.job(job)
        if view.state != "completed":
            raise DemoFailed(f"the job is {view.state}: {view.failure}")
        self.bar.update(self.task, completed=self.site.urls, description="done")
        return view

    async def journal(self, job: str, which: LogRange = WHOLE) -> list[JournalEntry]:
        """The journal, or a part of it."""
        return [entry async for entry in self.client.journal(job, which)]


async def tell(console: Console, cluster: Cluster, site: Site, when: str) -> None:
    """The whole story; raises ``DemoFailed`` if something is not as it must be."""
    bar = Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("URLs"),
        TimeElapsedColumn(),
        console=console,
    )
    console.print("Starting a control plane and two workers …")
    await asyncio.to_thread(cluster.control_plane)
    network = ("--allow-host", site.address, "--allow-network", "127.0.0.0/8")
    await asyncio.to_thread(cluster.workers, WORKERS, *network)
    credentials = msgspec.json.decode(cluster.credentials.read_bytes(), type=dict[str, str])
    async with ApiClient(credentials["url"], credentials["token"]) as client:
        with bar:
            story = Story(client, cluster, site, bar)
            job = await story.submit()
            victim = await story.kill(job, when)
            await story.finish(job, victim)
        result = await client.result(job)
        journal = await story.journal(job)
    show(console, result, journal, site, victim)
    check(result, journal, site, victim, when)


def main() -> int:
    """Runs the demo; 0 if everything is as it must be, 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kill", choices=("sleep", "request"), default="sleep")
    when = parser.parse_args().kill
    console = Console()
    began = time.monotonic()
    # Whoever ends the demo from outside ends its processes, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="mvm-ci-demo-") as directory, serve(ROOT / "docs") as site:
        cluster = Cluster(Path(directory), lease="15s")
        try:
            asyncio.run(tell(console, cluster, site, when))
        except (DemoFailed, ClusterFailed, MvmCiError) as error:
            console.print(f"[bold red]The demo failed:[/] {error}", highlight=False)
            console.print(cluster.logs(), highlight=False, markup=False, soft_wrap=True)
            return 1
        except KeyboardInterrupt:
            console.print("interrupted")
            return 130
        finally:
            cluster.close()
    once = (
        "every URL was fetched exactly once"
        if when == "sleep"
        else "only the interrupted request was repeated"
    )
    console.print(
        f"[bold green]As it must be:[/] one worker killed, {once}. {time.monotonic() - began:.0f} s."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
