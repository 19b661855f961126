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
_BACKTRACE: Final = "error while executing at wasm backtrace:"
_CAUSE: Final = "Caused by:"
_TOO_MUCH: Final = "the guest handed over more than 128 MiB at once"
_COPIED: Final = "fuel allocated for hostcalls has been exhausted"
_WRONG_TYPES: Final = ("type mismatch", "python exception")
"""Of what a host function returned; the latter is what the package says."""
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


def from_wasmtime(
    error: wasmtime.WasmtimeError | wasmtime.Trap, otherwise: FailureKind = FailureKind.MODULE
) -> GuestFailed:
    """What a trap, or an error of instantiating, means to the user. ``otherwise``: the kind of what is
    neither a trap nor an exit nor a limit, and did not happen while the guest's code ran.

    Components report traps as text only, so the text decides for both kinds of guests.
    """
    text = str(error)
    _, found, reason = text.rpartition("wasm trap: ")
    if found:
        reason = reason.partition("\n")[0].strip()
        return guest_failed(FailureKind.TRAP, _TEXTS.get(reason, reason), text)
    if text.startswith(_BACKTRACE):
        return _from_host_call(text)
    left = _EXIT.search(text)
    if left is not None:
        return guest_failed(FailureKind.ERROR, f"exit code {left[1]}")
    if any(sign in text for sign in _MEMORY_SIGNS):
        return guest_failed(FailureKind.MEMORY, "the guest needs more memory than its limit", text)
    if _COPIED in text:
        return guest_failed(FailureKind.OUTPUT, _TOO_MUCH, text)
    return guest_failed(FailureKind.TRAP if isinstance(error, wasmtime.Trap) else otherwise, text)


def _from_host_call(text: str) -> GuestFailed:
    """Of an error of a host function, or of a value that the guest handed over and that is none."""
    left = _EXIT.search(text)
    if left is not None:
        return guest_failed(FailureKind.ERROR, f"exit code {left[1]}")
    cause = text.rpartition(_CAUSE)[2].strip()
    if _COPIED in cause:
        return guest_failed(FailureKind.OUTPUT, _TOO_MUCH, text)
    if cause.startswith(_WRONG_TYPES):
        return guest_failed(FailureKind.MODULE, "imports a function with another type than it has", text)
    return guest_failed(FailureKind.TRAP, cause, text)


def _cut(text: str, limit: int) -> str:
    """The end matters in a traceback, the beginning in a message: keep both."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} … {text[-half:]}"
