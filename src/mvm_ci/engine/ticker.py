"""The thread that ends time slices, while there is somebody who computes."""

import threading
import time
from collections.abc import Callable
from typing import Final

SLICE_S: Final = 0.002
"""A guest that computes for longer gives way to the others."""
NOTICE_S: Final = 0.005
"""While nobody did so lately: each tick takes the interpreter from the guests' thread for a moment."""
_STAY_S: Final = 0.1


class Ticker:
    """Calls ``tick`` at each end of a slice between ``work`` and ``rest``. Its thread stays awake a little
    longer: short guests that come one after another do not wake it each time.
    """

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._working = False
        self._slice_s = NOTICE_S
        self._awake = threading.Event()
        threading.Thread(target=self._run, name="ticker", daemon=True).start()

    def work(self, *, computing: bool) -> None:
        """Guests run from here on. ``computing``: some of them used up a slice."""
        self._slice_s = SLICE_S if computing else NOTICE_S
        self._working = True
        if not self._awake.is_set():
            self._awake.set()

    def rest(self) -> None:
        """Nobody runs."""
        self._working = False

    def _run(self) -> None:
        idle_s = 0.0
        while True:
            if idle_s > _STAY_S:
                self._awake.clear()
                # ``work`` may have come between the two looks.
                if not self._working:
                    self._awake.wait()
                idle_s = 0.0
            slice_s = self._slice_s
            time.sleep(slice_s)
            if self._working:
                self._tick()
                idle_s = 0.0
            else:
                idle_s += slice_s
