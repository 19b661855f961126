# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/waiting.py: change that one.
"""Waiting for the end of a job: long polls, one after the other, until it is over."""

import time
from collections.abc import Callable
from typing import Final

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.job import AT_REST, FINAL
from mvm_ci.wire.api import MAX_WAIT_S, JobView

ENDED: Final = frozenset(state.label for state in FINAL)
"""The states, as users see them, in which a job stays."""
STANDING: Final = frozenset(state.label for state in AT_REST)
"""The states, as users see them, that no waiting changes."""
_PATIENCE_S: Final = 60.0
_PAUSE_S: Final = 0.5


def until_ended(poll: Callable[[str, float], JobView], job: str, timeout_s: float | None) -> JobView:
    """``poll`` until the job stands still or the time is over; then the job as it is.

    Raises ``Unavailable`` when the control plane cannot be reached for a minute.
    """
    clock = time.monotonic
    deadline = None if timeout_s is None else clock() + timeout_s
    lost_since: float | None = None
    # The first look does not wait: it fails at once where there is nothing to wait for.
    view = poll(job, 0.0)
    while view.state not in STANDING:
        left = MAX_WAIT_S if deadline is None else deadline - clock()
        if left <= 0:
            return view
        try:
            view = poll(job, min(left, MAX_WAIT_S))
            lost_since = None
        except Unavailable:
            lost_since = clock() if lost_since is None else lost_since
            if clock() - lost_since > _PATIENCE_S:
                raise
            time.sleep(_PAUSE_S)
    return view
