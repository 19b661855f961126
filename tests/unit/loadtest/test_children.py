"""Processes that a load test starts: what is said if there is no room for one."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from pathlib import Path

import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.loadtest.children import Child, Readiness


def full(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_process_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none(*_: object, **__: object) -> None:
        raise full(errno.EAGAIN)

    monkeypatch.setattr(subprocess, "Popen", none)
    with pytest.raises(Unavailable, match=r"^worker-7 cannot be started: Resource .*; ask for fewer workers"):
        Child("worker-7", ("-c", ""), tmp_path, {})


def test_files_that_it_may_not_open_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="worker-7 cannot be started: No such file"):
        Child("worker-7", ("-c", ""), tmp_path / "none", {})

    def none(*_: object) -> None:
        raise full(errno.EMFILE)

    monkeypatch.setattr(socket, "socket", none)
    with pytest.raises(Unavailable, match=r"cannot be started: Too many open files; .*ulimit -n"):
        Readiness()
