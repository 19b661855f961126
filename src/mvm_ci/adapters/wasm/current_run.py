"""The run that is going on: its outcome, and how another thread ends it.

Host callbacks cannot raise through the engine: what they raise is kept here, in the run's own state, the
engine is told to unwind the guest, and ``CurrentRun.finish`` raises it again.
"""

import codecs
import threading
from collections.abc import Callable

import wasmtime

from mvm_ci.ports.guest import GuestLimits, HostCalls, Unwind


class Run:
    """One run of one guest."""

    __slots__ = ("_decoders", "engine", "host", "interruption", "limits", "outcome", "payload")

    def __init__(self, engine: wasmtime.Engine, payload: bytes, host: HostCalls, limits: GuestLimits) -> None:
        self.engine = engine
        self.payload = payload
        self.host = host
        self.limits = limits
        self.outcome: BaseException | None = None
        self.interruption: Unwind | None = None
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}

    def check(self) -> None:
        """Raises what ended this run already: no effect may start after it."""
        if self.interruption is not None:
            raise self.interruption
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
    """Holds the one run of a runtime, so that ``interrupt`` hits that one and no other."""

    def __init__(self) -> None:
        # Reentrant: a signal handler on the guest's own thread may interrupt while the lock is held.
        self._lock = threading.RLock()
        self._run: Run | None = None

    def get(self) -> Run:
        """The run that a host callback belongs to."""
        if self._run is None:
            raise RuntimeError("a host call outside of a run")
        return self._run

    def begin(self, run: Run) -> None:
        """Call it when the store's deadline stands: from here on an interruption hits ``run``."""
        with self._lock:
            if self._run is not None:
                raise RuntimeError("a guest runs already on this runtime")
            self._run = run

    def end(self) -> None:
        """From here on an interruption hits nothing."""
        with self._lock:
            self._run = None

    def interrupt(self, make: Callable[[], Unwind]) -> None:
        """Ends the present run, if there is one, with ``make()``; the first interruption counts."""
        with self._lock:
            run = self._run
            if run is None or run.interruption is not None:
                return
            run.interruption = make()
            # Every store's deadline is the next epoch, and nothing else advances it: the guest stops at its
            # next loop or call. No ticking thread is needed.
            run.engine.increment_epoch()
