"""What the parts of a validation share: the client, the books, and how jobs are submitted and their ends
looked at.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, ParamSpec, TypeVar

import msgspec

from mvm_ci.client import ApiClient
from mvm_ci.client.waiting import ENDED
from mvm_ci.deploy.validation import delays as kinds
from mvm_ci.deploy.validation.delays import Delays
from mvm_ci.deploy.validation.fleet import Fleet
from mvm_ci.deploy.validation.guest import MESSAGE, Program, job_input, journal_problem, words
from mvm_ci.deploy.validation.ledger import Entry, Ledger
from mvm_ci.domain.errors import DiskFull, MvmCiError, NotFound, QueueFull, QuotaExceeded, Unavailable
from mvm_ci.wire import api

T = TypeVar("T")
P = ParamSpec("P")
GONE_S: Final = 60.0
"""A control plane that does not answer for so long is gone."""
_AGAIN_S: Final = 1.0
_JOB_S: Final = 600.0
"""Time limit of a placement of a job of ours."""
_LOOKERS: Final = 8
_SINCE_MS: Final = 600_000
"""Before the beginning; much more than clocks are apart that work together."""
_JOURNALS: Final = 5
"""Of so many jobs of a kind the journal of one is read."""
_TOLD_AFTER_S: Final = 1.0


class Gone(MvmCiError):
    """The control plane does not answer any more."""

    code = "control-plane-gone"


class Bench:
    """``queue``: the one of this validation's jobs; ``module``: the guest's digest, once it was pushed."""

    def __init__(self, client: ApiClient, queue: str, push: Callable[[], Awaitable[str]]) -> None:
        self.client = client
        self.queue = queue
        self.ledger = Ledger()
        self.delays = Delays()
        self.fleet = Fleet()
        self.module = ""
        self.began_ms = time.time_ns() // 1_000_000
        self.looks: asyncio.Queue[str] = asyncio.Queue()
        """Jobs whose end was told and is to be looked at."""
        self.watched_s = 0.0
        """Of jobs that were submitted after this, events come."""
        self.holes: list[float] = []
        """When events may be missing."""
        self._push = push
        self._began = time.monotonic()
        self._numbers = 0
        self._settled: dict[str, asyncio.Event] = {}
        self._looked: set[str] = set()
        self._early: dict[str, float] = {}
        """Submissions that were seen before they were answered, and children."""
        self._ended: Counter[str] = Counter()

    def now_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def clock_ms(self, at_s: float) -> float:
        """The Unix time of ``at_s`` by a clock that was right at the beginning: it makes no steps."""
        return self.began_ms + at_s * 1000

    def selection(self, before_ms: int | None = None) -> api.JobSelection:
        """All jobs of this validation, or older ones. Its beginning bounds what is looked at."""
        since_ms = round(self.began_ms + self.delays.ahead_ms - _SINCE_MS)
        return api.JobSelection(queue=self.queue, created_from_ms=since_ms, created_before_ms=before_ms)

    async def patiently(self, ask: Callable[P, Awaitable[T]], *args: P.args, **named: P.kwargs) -> T:
        """Asks until there is an answer. Raises ``Gone``, and what the API answers, a full queue included."""
        while True:
            asked_s = self.now_s()
            try:
                return await ask(*args, **named)
            except (QueueFull, QuotaExceeded, DiskFull):
                raise
            except Unavailable as error:
                if self.fleet.silent(str(error), asked_s, self.now_s()) > GONE_S:
                    raise Gone(f"no answer for {GONE_S:.0f} s: {error}") from None
                await asyncio.sleep(_AGAIN_S)

    async def submit(self, programs: Sequence[Program]) -> list[str]:
        """Submits jobs, each once whatever becomes of the request; their ids."""
        jobs = [self._job(program) for program in programs]
        sent_s = self.now_s()
        first = True

        async def ask() -> tuple[api.JobView, ...]:
            nonlocal first
            try:
                return await self.client.submit(jobs)
            except NotFound:
                # Another validation that ended took the module, which is the same, out of the namespace.
                self.module = await self._push()
                return await self.client.submit(
                    [msgspec.structs.replace(job, module=self.module) for job in jobs]
                )
            except Unavailable:
                first = False
                raise

        views = await self.patiently(ask)
        at_s = self.now_s()
        if first:
            self.delays.add(kinds.SUBMIT, at_s, (at_s - sent_s) * 1000)
            self.delays.exchanged(views[0].id, self.clock_ms(sent_s), self.clock_ms(at_s))
        for view, program in zip(views, programs, strict=True):
            self.ledger.submitted(view.id, program, sent_s, at_s)
            self._settled[view.id] = asyncio.Event()
            if self.ledger.seen[view.id, "ended"]:
                self.looks.put_nowait(view.id)
            if view.id in self._early:
                self.delays.add(kinds.SEEN, at_s, (self._early.pop(view.id) - sent_s) * 1000)
        return [view.id for view in views]

    async def tell(self, job: str) -> None:
        """Sends the message that a job waits for."""
        entry = self.ledger.entries[job]
        entry.told_s = self.now_s()
        body = msgspec.Raw(msgspec.json.encode(entry.program.word))
        await self.patiently(self.client.send_message, job, body, kind=MESSAGE, key=job)

    async def tell_later(self, job: str) -> None:
        """The same when the job waits for it."""
        await asyncio.sleep(_TOLD_AFTER_S)
        await self.tell(job)

    def happened(self, event: api.EventView) -> None:
        """An event has come."""
        if event.job is None or event.queue != self.queue:
            return
        at_s = self.now_s()
        self.ledger.happened(event, at_s)
        if event.kind != "submitted":
            self.delays.add(kinds.REPORT, at_s, self.clock_ms(at_s) + self.delays.ahead_ms - event.at_ms)
        entry = self.ledger.entries.get(event.job)
        if event.kind == "submitted":
            if entry is None:
                self._early[event.job] = at_s
            else:
                self.delays.add(kinds.SEEN, at_s, (at_s - entry.sent_s) * 1000)
        if entry is not None and event.kind == "ended":
            entry.ended_s = at_s
            if entry.told_s is not None:
                self.delays.add(kinds.ROUND_TRIP, at_s, (at_s - entry.told_s) * 1000)
            self.looks.put_nowait(event.job)

    async def look(self) -> None:
        """Looks at the ends of jobs, until it is cancelled. Raises ``Gone``."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_LOOKERS):
                group.create_task(self._look_at_each())

    async def settled(self, job: str, within_s: float) -> Entry | None:
        """The job once its end was looked at; None if that takes longer."""
        try:
            async with asyncio.timeout(within_s):
                await self._settled[job].wait()
        except TimeoutError:
            return None
        return self.ledger.entries[job]

    async def journal(self, job: str) -> list[api.JournalEntry]:
        """The journal of a job as it is now."""

        async def ask() -> list[api.JournalEntry]:
            return [entry async for entry in self.client.journal(job)]

        return await self.patiently(ask)

    def _job(self, program: Program) -> api.SubmitJob:
        self._numbers += 1
        child = {"module": self.module, "queue": self.queue, "name": "validate-child", "timeout_s": _JOB_S}
        return api.SubmitJob(
            module=self.module,
            input=job_input(program, child),
            name=f"validate-{program.kind}",
            queue=self.queue,
            timeout_s=_JOB_S,
            idempotency_key=f"{self.queue}-{self._numbers}",
        )

    async def _look_at_each(self) -> None:
        while True:
            job = await self.looks.get()
            # One that is not in the books yet comes again.
            if job in self._settled and job not in self._looked:
                self._looked.add(job)
                await self._look_at(job)

    async def _look_at(self, job: str) -> None:
        try:
            view = await self.patiently(self.client.job, job)
        except NotFound:
            # Stays open, and so is lost at the end.
            self.ledger.problem(self.now_s(), job, "its end was told, and it is not there")
            return
        at_s = self.now_s()
        result = _result(view)
        found = self.ledger.settled(view, result, at_s)
        entry = self.ledger.entries[job]
        if view.started_ms is not None and not view.losses and not self.ledger.seen[job, "suspended"]:
            self.delays.add(kinds.START, at_s, view.started_ms - view.created_ms)
        self._ended[entry.program.kind] += 1
        if found is None and self._ended[entry.program.kind] % _JOURNALS == 1:
            await self._check_journal(entry, str(result))
        if found is None and entry.program.kind == "sleep":
            before, after = words(str(result))
            ((_, length),) = (step for step in entry.program.parsed() if step[0] == "z")
            self.delays.add(kinds.WAKE, at_s, int(after, 16) - int(before, 16) - length)
        self._settled[job].set()

    async def _check_journal(self, entry: Entry, result: str) -> None:
        entries = await self.journal(entry.job)
        found = journal_problem(entry.program, result, entries)
        if found is not None:
            self.ledger.problem(self.now_s(), entry.job, found)


def _result(view: api.JobView) -> object:
    if isinstance(view.result, msgspec.Raw):
        return msgspec.json.decode(view.result)
    return view.result_base64


def is_over(view: api.JobView) -> bool:
    """Whether a job has ended."""
    return view.state in ENDED
