"""What a guest's code may use and how its memory is laid out.

Without wasmtime itself: a process that only compiles in children and starts runners does not load it.
"""

from typing import Final

import msgspec

from mvm_ci.ports.guest import ModuleKind

BAD_MODULE: Final = 3
"""Exit code of the compiling child: the module cannot run here."""
MAX_MEMORY_BYTES: Final = 1 << 30
"""What a guest's memory can never exceed, whatever its limits say."""
QUICK_SLOTS: Final = 32
"""Guests at once whose memory is kept for the next one: it starts a few times faster, and costs up to
``KEPT_BYTES`` for each slot that was ever used.
"""
KEPT_BYTES: Final = 1 << 20
HOST_STACK_BYTES: Final = 512 << 10
"""What a fiber's stack holds beyond the guest's: host callbacks run on it. Only what is touched is memory."""


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one engine; every field changes what compiled code may assume, so all are part of the
    fingerprint.
    """

    component_model: bool
    pooled: bool
    memory_reservation: int
    max_wasm_stack: int
    concurrency: bool
    """The library's own scheduling of guests; without it a host function may call into its guest's store."""


SETTINGS: Final = {
    # Pooled slots make the start of a small guest a few times cheaper than fresh mappings.
    ModuleKind.CORE: EngineSettings(
        component_model=False,
        pooled=True,
        memory_reservation=MAX_MEMORY_BYTES,
        max_wasm_stack=512 << 10,
        concurrency=False,
    ),
    # Python has one large memory; CPython recurses deeply in C.
    ModuleKind.COMPONENT: EngineSettings(
        component_model=True,
        pooled=False,
        memory_reservation=MAX_MEMORY_BYTES,
        max_wasm_stack=2 << 20,
        concurrency=False,
    ),
}
