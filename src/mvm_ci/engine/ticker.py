"""The thread that ends time slices, while there is somebody who computes."""

import threading
from collections.abc import Callable
from typing import Final

TICK_S: Final = 0.002
"""A time slice: a guest that computes for longer gives way to the others."""
_STAY_TICKS: Final = 50


class Ticker:
    """Calls ``tick`` at each end of a slice between ``work`` and ``rest``. Its thread stays awake a little
    longer: short guests that come one after another do not wake it each time.
    """

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._working = False
        self._awake = threading.Event()
        self._pause = threading.Event()
        threading.Thread(target=self._run, name="ticker", daemon=True).start()

    def work(self) -> None:
        """Guests compute from here on."""
        self._working = True
        if not self._awake.is_set():
            self._awake.set()

    def rest(self) -> None:
        """Nobody computes."""
        self._working = False

    def _run(self) -> None:
        idle = 0
        while True:
            if idle > _STAY_TICKS:
                self._awake.clear()
                # ``work`` may have come between the two looks.
                if not self._working:
                    self._awake.wait()
                idle = 0
            self._pause.wait(TICK_S)
            if self._working:
                self._tick()
                idle = 0
            else:
                idle += 1
