"""From traps and errors of wasmtime to ``GuestFailed``."""

import re
from typing import Final

import wasmtime

from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.ports.guest import GuestFailed

_TEXTS: Final = {
    "call stack exhausted": "stack overflow: the guest called itself too deeply",
    "wasm `unreachable` instruction executed": "unreachable code was executed: the guest aborted itself",
    "out of bounds memory access": "out of bounds memory access",
    "integer divide by zero": "integer division by zero",
}
_EXIT: Final = re.compile(r"Exited with i32 exit status (\d+)")
_BACKTRACE: Final = "error while executing at wasm backtrace:"
_CAUSE: Final = "Caused by:"
_COPIED: Final = "fuel allocated for hostcalls has been exhausted"
_WRONG_TYPES: Final = ("type mismatch",)
"""Of what a host function returned."""
_NO_MEMORY: Final = re.compile(
    r"^[ 0-9:]*(mmap failed to [a-z]+ 0x[0-9a-f]+ bytes|Cannot allocate memory \(os error 12\))$",
    re.MULTILINE,
)
_MEMORY_SIGNS: Final = ("exceeds memory limits", "exceeds the limit of", "memory minimum size")


def guest_failed(kind: FailureKind, message: str, detail: str = "") -> GuestFailed:
    """A failure with one line as its message: further ones join the detail."""
    first, _, rest = message.strip().partition("\n")
    if rest:
        detail = f"{rest}\n{detail}" if detail else rest
    return GuestFailed(Failure(kind=kind, message=first, detail=detail))


def out_of_memory(error: wasmtime.WasmtimeError | wasmtime.Trap) -> bool:
    """Whether it is this process that could not get memory, or room for a mapping."""
    text = str(error)
    # There a guest's names stand in the text.
    return _BACKTRACE not in text and _NO_MEMORY.search(text) is not None


def from_wasmtime(
    error: wasmtime.WasmtimeError | wasmtime.Trap, otherwise: FailureKind = FailureKind.MODULE
) -> GuestFailed | MemoryError:
    """What a trap, or an error of instantiating, means to the user. ``otherwise``: the kind of what is
    neither a trap nor an exit nor a limit, and did not happen while the guest's code ran. Not the guest's
    fault is what ``out_of_memory`` tells.

    Components report traps as text only, so the text decides for both kinds of guests.
    """
    text = str(error)
    _, found, reason = text.rpartition("wasm trap: ")
    if found:
        reason = reason.partition("\n")[0].strip()
        return guest_failed(FailureKind.TRAP, _TEXTS.get(reason, reason), text)
    if out_of_memory(error):
        return MemoryError(text)
    known = _known(text)
    if known is not None:
        return guest_failed(*known, text)
    if text.startswith(_BACKTRACE):
        return guest_failed(FailureKind.TRAP, text.rpartition(_CAUSE)[2], text)
    return guest_failed(FailureKind.TRAP if isinstance(error, wasmtime.Trap) else otherwise, text)


def _known(text: str) -> tuple[FailureKind, str] | None:
    """What is no trap, but did not go as the guest wished: kind and message."""
    cause = text.rpartition(_CAUSE)[2].strip()
    left = _EXIT.search(cause)
    if left is not None:
        return FailureKind.ERROR, f"exit code {left[1]}"
    if any(sign in cause for sign in _MEMORY_SIGNS):
        return FailureKind.MEMORY, "the guest needs more memory than its limit"
    if _COPIED in cause:
        return FailureKind.OUTPUT, "the guest handed over more than 128 MiB of values at once"
    if text.startswith(_BACKTRACE) and cause.startswith(_WRONG_TYPES):
        return FailureKind.MODULE, "imports a function with another type than it has"
    return None
