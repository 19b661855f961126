"""Reading jobs: what callers ask for in one turn of the event loop is one read of the queue."""

import asyncio
from collections.abc import Sequence

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Job
from mvm_ci.ports.job_queue import JobQueue

Answer = asyncio.Future[list[Job | None]]


class JobReads:
    """One commit ends the waits of many callers at once: a read for each of them would cost more than the
    jobs.
    """

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._gathered: list[tuple[Sequence[JobId], Answer]] = []
        self._reads: set[asyncio.Task[None]] = set()

    def get(self, jobs: Sequence[JobId]) -> Answer:
        """The jobs as they are after this call; None where there is none. Fails with ``Unavailable``."""
        loop = asyncio.get_running_loop()
        answer: Answer = loop.create_future()
        if not self._gathered:
            loop.call_soon(self._flush)
        self._gathered.append((jobs, answer))
        return answer

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        task = asyncio.get_running_loop().create_task(self._read(gathered))
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)

    async def _read(self, gathered: Sequence[tuple[Sequence[JobId], Answer]]) -> None:
        try:
            found = await self._queue.get([job for jobs, _ in gathered for job in jobs])
        except Exception as error:  # noqa: BLE001 (goes to every caller, whatever it is)
            for _, answer in gathered:
                if not answer.done():
                    answer.set_exception(error)
            return
        at = 0
        for jobs, answer in gathered:
            if not answer.done():
                answer.set_result(found[at : at + len(jobs)])
            at += len(jobs)
