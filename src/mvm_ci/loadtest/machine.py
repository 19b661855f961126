"""The machine on which the load is made, and what a process may have of it."""

import os
import platform
import resource
from importlib.metadata import version
from pathlib import Path
from typing import Final

from mvm_ci.capacity.results import Machine

_PACKAGES: Final = ("mvm-ci", "wasmtime", "iroh", "msgspec", "httptools", "uvloop")
_MIB: Final = 1 << 20


def this_machine(*, shared: bool) -> Machine:
    """``shared``: whether the whole cluster is here, too."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=model or platform.machine(),
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB,
        kernel=platform.release().partition("-")[0],
        python=platform.python_version(),
        packages={name: version(name) for name in _PACKAGES},
        load_average=os.getloadavg()[0],
        shared=shared,
    )


def allow_open_files() -> None:
    """This process may have as many as it is allowed to allow itself: each connection, and each worker, holds
    some.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
