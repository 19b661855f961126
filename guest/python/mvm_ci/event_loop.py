"""The event loop of ``asyncio`` in a guest: its one way to wait is the host's ``wait``.

Everything that can happen comes from the host, one answer at a time: mail, or that a time is over. So the order in which
callbacks run follows from the journal alone, and a replay goes the same way. Callbacks that are ready go first; only when
there are none the loop looks at its timers (one read of the clock, if it has any), and waits for whichever is first: the
next timer, or mail about anything that is awaited.

There are no sockets, processes, signals or threads. ``run_in_executor`` runs the function at once.
"""

import asyncio
import heapq
import time
import warnings

from mvm_ci import waiting

_TURNS = 1_000
"""Turns after which a loop that always has something to do looks at timers and mail all the same."""
_CANCELLED = 100


class EventLoop(asyncio.BaseEventLoop):
    """See the module's words. Made by ``asyncio.run``, and for an ``async def run``."""

    def __init__(self):
        super().__init__()
        self._awaited = {}  # futures that end when there is mail, with their topics
        self._turns = 0

    def time(self):
        """Seconds since the execution began; each look is recorded."""
        return time.monotonic()

    async def arrival(self, topics):
        """Returns when there is mail about one of ``topics``; whoever waited for it takes it before the next wait."""
        while not any(topic.mail for topic in topics):
            future = self.create_future()
            self._awaited[future] = topics
            try:
                await future
            finally:
                del self._awaited[future]

    def run_in_executor(self, executor, func, *args):
        """There are no threads: runs the function at once, while all else waits."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _run_once(self):
        self._turns += 1
        if self._stopping:
            pass
        elif not self._ready:
            self._wait()
        elif self._turns % _TURNS == 0:
            self._look()
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()
        handle = None  # a traceback may keep this frame: it must not keep a task

    def _wait(self):
        """Waits for what comes first."""
        self._forget_cancelled()
        topics = self._topics()
        if not self._scheduled:
            if not topics:
                raise RuntimeError("all tasks wait for each other: there is nothing outside that could wake them")
            waiting.arrived(topics, None)
            self._wake()
            return
        when = self._scheduled[0]._when
        now = self.time()
        if when > now:
            if not topics:
                time.sleep(when - now)
            elif waiting.arrived(topics, when - now):
                self._wake()
                return
            # So long it took at least, whatever rounding says.
            now = when
        self._begin_timers(now)

    def _look(self):
        """Takes what is there, without waiting."""
        self._forget_cancelled()
        topics = self._topics()
        if topics and waiting.arrived(topics, 0):
            self._wake()
        if self._scheduled:
            self._begin_timers(self.time())

    def _topics(self):
        awaited = [topics for future, topics in self._awaited.items() if not future.done()]
        found = list(dict.fromkeys(topic for topics in awaited for topic in topics))
        if len(found) > waiting.AT_ONCE:
            raise RuntimeError(
                f"{len(found)} children, promises and types of messages are awaited at once; "
                f"at most {waiting.AT_ONCE} can be: let a semaphore hold the others back"
            )
        return found

    def _wake(self):
        for future, topics in self._awaited.items():
            if not future.done() and any(topic.mail for topic in topics):
                future.set_result(None)

    def _begin_timers(self, now):
        while self._scheduled and self._scheduled[0]._when <= now:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            self._ready.append(handle)

    def _forget_cancelled(self):
        """Timers that were cancelled: the next one must not be one of them, and the others must not pile up."""
        if self._timer_cancelled_count > max(_CANCELLED, len(self._scheduled) // 2):
            kept = []
            for handle in self._scheduled:
                if handle._cancelled:
                    handle._scheduled = False
                else:
                    kept.append(handle)
            heapq.heapify(kept)
            self._scheduled = kept
            self._timer_cancelled_count = 0
        while self._scheduled and self._scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(self._scheduled)._scheduled = False

    def _write_to_self(self):
        """Nothing could be asleep meanwhile."""


class _Policy(asyncio.events._BaseDefaultEventLoopPolicy):
    _loop_factory = EventLoop


def install():
    """Makes it the loop of ``asyncio.run`` and all else that makes one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        asyncio.set_event_loop_policy(_Policy())
    asyncio.EventLoop = EventLoop
