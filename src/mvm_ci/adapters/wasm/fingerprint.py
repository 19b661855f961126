"""The name of compiled code: what it was compiled by, with and for."""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Final

from mvm_ci.adapters.wasm.engine_settings import SETTINGS
from mvm_ci.ports.guest import ModuleKind

_PREPARED: Final = "names that can be shown"
"""What is done to a binary before it is compiled."""


def fingerprint(kind: ModuleKind) -> str:
    """Changes whenever code compiled earlier must not be loaded: wasmtime, settings, processor."""
    parts = [version("wasmtime"), repr(SETTINGS[kind]), _PREPARED, platform.machine(), _processor_features()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _processor_features() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            return line
    return platform.processor()
