"""A run of a guest on a fiber: which run a host callback belongs to, how it waits and how it ends.

A host callback cannot raise through the engine: what it raises is kept here, in the run's own state, the
engine is told to unwind the guest, and it is raised again outside. A host call that may wait only notes its
coroutine; ``drive`` awaits that while the guest is suspended::

    drive ── poll ──▶ guest ── call ──▶ callback: notes the coroutine, suspends the guest
      ▲ │ ◀─ pending ─────────────────────┘
      │ └── await the coroutine, write its result, poll again ──▶ the guest goes on
      └── no coroutine: the time slice is over ──▶ await give_way, poll again
"""

import codecs
import ctypes
from collections.abc import Coroutine
from ctypes import c_uint64, c_void_p
from typing import Any

from mvm_ci.adapters.wasm import capi
from mvm_ci.ports.guest import GuestLimits, HostCalls


class Run:
    """One run of one guest. ``pending``: the host call that the guest is suspended in."""

    __slots__ = ("_decoders", "host", "limits", "outcome", "payload", "pending")

    def __init__(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> None:
        self.payload = payload
        self.host = host
        self.limits = limits
        self.outcome: BaseException | None = None
        self.pending: Coroutine[Any, Any, None] | None = None
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}

    def check(self) -> None:
        """Raises what ended this run already: no effect may start after it."""
        if self.outcome is not None:
            raise self.outcome

    def keep(self, error: BaseException) -> None:
        """Remembers why the guest is being unwound; the first reason counts."""
        if self.outcome is None:
            self.outcome = error

    def write(self, stream: str, data: bytes) -> None:
        """Passes ``data`` on as text; a character may be spread over several writes."""
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(data)
        if text:
            self.host.log(stream, text)

    def flush(self) -> None:
        """Shows what is left of a character that was never finished."""
        for stream, decoder in self._decoders.items():
            text = decoder.decode(b"", final=True)
            if text:
                self.host.log(stream, text)


class CurrentRun:
    """The run whose guest is on the thread: host callbacks belong to it."""

    __slots__ = ("_continuation", "_continuation_at", "run")

    def __init__(self) -> None:
        self.run: Run | None = None
        self._continuation = capi.CONTINUATION(self._over)
        self._continuation_at = ctypes.cast(self._continuation, c_void_p).value or 0

    def get(self) -> Run:
        """The run that a host callback belongs to."""
        if self.run is None:
            raise RuntimeError("a host call outside of a run")
        return self.run

    def suspend(self, then: int) -> None:
        """The guest waits from here until its run has nothing ``pending``. ``then``: where a host callback
        was told to leave its continuation.
        """
        # What is asked at each poll; its environment and finalizer, of which there are none.
        c_uint64.from_address(then).value = self._continuation_at
        c_uint64.from_address(then + 8).value = c_uint64.from_address(then + 16).value = 0

    def _over(self, _environment: int) -> bool:
        return self.run is None or self.run.pending is None

    def first(self, run: Run, future: int) -> bool:
        """Polls the call behind ``future`` for the first time. True: it is over, and freed; else ``drive``
        is to follow. Most calls of small guests are over at once, and cost no coroutine.
        """
        self.run = run
        done: bool = capi.future_poll(future)
        self.run = None
        if done:
            capi.future_delete(future)
        return done

    async def drive(self, run: Run, future: int) -> None:
        """Runs the call behind ``future``, which was polled before and is freed on return, to its end.

        If a host call raises, or something is raised where this waits, the guest is gone when it comes out.
        """
        poll = capi.future_poll
        try:
            while True:
                pending = run.pending
                if pending is None:
                    run.check()
                    await run.host.give_way()
                else:
                    await pending
                    run.pending = None
                self.run = run
                done = poll(future)
                self.run = None
                if done:
                    return
        finally:
            if run.pending is not None:
                run.pending.close()
            # Frees the fiber, and unwinds what is on it.
            self.run = run
            capi.future_delete(future)
            self.run = None
