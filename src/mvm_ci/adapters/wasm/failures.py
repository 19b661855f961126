"""From traps and errors of wasmtime to ``GuestFailed``."""

import re
from typing import Final

import wasmtime

from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.ports.guest import GuestFailed

_MESSAGE_CHARS: Final = 500
_DETAIL_CHARS: Final = 16_000
_TEXTS: Final = {
    "call stack exhausted": "stack overflow: the guest called itself too deeply",
    "wasm `unreachable` instruction executed": "unreachable code was executed: the guest aborted itself",
    "out of bounds memory access": "out of bounds memory access",
    "integer divide by zero": "integer division by zero",
}
_EXIT: Final = re.compile(r"Exited with i32 exit status (\d+)")
_TOO_MUCH: Final = "too much data is being copied"
_MEMORY_SIGNS: Final = ("exceeds memory limits", "exceeds the limit of", "memory minimum size")


def guest_failed(kind: FailureKind, message: str, detail: str = "") -> GuestFailed:
    """A failure with its texts cut to what a row of a table should hold; further lines of the message join
    the detail.
    """
    first, _, rest = message.strip().partition("\n")
    if rest:
        detail = f"{rest}\n{detail}" if detail else rest
    return GuestFailed(
        Failure(kind=kind, message=_cut(first, _MESSAGE_CHARS), detail=_cut(detail, _DETAIL_CHARS))
    )


def from_wasmtime(error: wasmtime.WasmtimeError | wasmtime.Trap) -> GuestFailed:
    """What a trap, or an error of instantiating, means to the user.

    Components report traps as text only, so the text decides for both kinds of guests.
    """
    text = str(error)
    _, found, reason = text.rpartition("wasm trap: ")
    if found:
        reason = reason.partition("\n")[0].strip()
        return guest_failed(FailureKind.TRAP, _TEXTS.get(reason, reason), text)
    left = _EXIT.search(text)
    if left is not None:
        return guest_failed(FailureKind.ERROR, f"exit code {left[1]}")
    if any(sign in text for sign in _MEMORY_SIGNS):
        return guest_failed(FailureKind.MEMORY, "the guest needs more memory than its limit", text)
    if _TOO_MUCH in text:
        return guest_failed(FailureKind.TRAP, "the guest passed too many bytes to its host at once", text)
    if isinstance(error, wasmtime.Trap):
        return guest_failed(FailureKind.TRAP, text)
    return guest_failed(FailureKind.MODULE, text)


def _cut(text: str, limit: int) -> str:
    """The end matters in a traceback, the beginning in a message: keep both."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} … {text[-half:]}"
