"""Holds a process in the middle of an artifact until a file is gone; see ``hooks``.

A test copies this file as ``sitecustomize.py`` into a directory of its own. A file ``hold-PLACE`` in there
holds whoever comes to that place, who says so with a file ``at-PLACE``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PIECES = 5
"""Of an artifact that go through before."""


def held(owner: Any, name: str, place: str) -> None:
    """A function that may be held, on a thread of its own."""
    function: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def wrapped(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > PIECES and (HERE / f"hold-{place}").exists():
            (HERE / f"at-{place}").touch()
            while (HERE / f"hold-{place}").exists():
                time.sleep(0.02)
        return function(*args)

    setattr(owner, name, wrapped)


if __name__ == "sitecustomize":
    if "control-plane" in sys.orig_argv:
        from mvm_ci.adapters.blobs import incoming

        held(incoming.FileIncoming, "_write", "receive")
    elif "worker" in sys.orig_argv:
        from mvm_ci.peer import artifact_files

        held(artifact_files, "_append", "write")
        held(artifact_files, "_read", "upload")
