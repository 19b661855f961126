"""Runs a program that dies with whoever started it: a load test that is killed leaves nothing running.

``python -I -S bound.py PARENT PROGRAM [ARGUMENT ...]``. It takes the place of this process, and is killed
when the thread that started it ends. Nothing of this package is imported: every worker waits for this.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Does not return."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # It may have died before the line above.
    if os.getppid() != parent:
        os._exit(0)
    os.execv(command[0], command)  # noqa: S606 - what our parent wants


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
