"""The calls of ``guest/abi/calls.md``: what a guest may ask for by name, in JSON."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec

from mvm_ci.domain.payload import Payload
from mvm_ci.files.system import FileSystem
from mvm_ci.journal.describe import storable
from mvm_ci.journal.replay import Replay

T = TypeVar("T")

MAX_NAME: Final = 200
"""Characters of a name that a guest gives something."""
_encoder: Final = msgspec.json.Encoder()


class Surroundings(Protocol):
    """The execution of the guest that calls."""

    machine: Replay

    @property
    def files(self) -> FileSystem:
        """The guest's files."""
        ...

    async def load(self, payload: Payload) -> bytes:
        """The bytes of a payload."""
        ...

    async def store(self, data: bytes) -> Payload:
        """``data`` as an entry may hold it."""
        ...

    def post(self) -> None:
        """All entries are on their way to be durable."""
        ...


class BadCall(Exception):
    """The guest asked for something that is not there. ``kind``: for programs."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Memo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _MemoValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    value: msgspec.Raw


async def answer(surroundings: Surroundings, name: str, argument: bytes) -> bytes:
    """The document that answers a call. Raises ``LimitReached`` and ``NondeterminismDetected``."""
    handler = _HANDLERS.get(name, _unknown)
    try:
        return _encoder.encode({"ok": await handler(surroundings, argument)})
    except BadCall as error:
        return _encoder.encode({"error": {"kind": error.kind, "message": str(error)}})


async def _unknown(_surroundings: Surroundings, _argument: bytes) -> None:
    raise BadCall("unknown-call", f"there is no such call; there are {', '.join(_HANDLERS)}")


async def _memo_get(surroundings: Surroundings, argument: bytes) -> Any:  # noqa: ANN401 - any JSON value
    asked = _decode(argument, _Memo)
    name = _name(asked.name)
    found = surroundings.machine.memo_get(name)
    surroundings.files.undo(name)  # of a computation that was given up
    if found is None:
        # What it does to its files until it puts the value is passed by at replay, so it is undone then.
        surroundings.files.begin(name)
        return None
    return {"value": msgspec.Raw(await surroundings.load(found))}


async def _memo_put(surroundings: Surroundings, argument: bytes) -> None:
    asked = _decode(argument, _MemoValue)
    name = _name(asked.name)
    surroundings.machine.memo_put(name, await surroundings.store(bytes(asked.value)))
    surroundings.files.undo(name)
    # It may have taken hours: it is not to wait for the next request.
    surroundings.post()


async def _memo_drop(surroundings: Surroundings, argument: bytes) -> None:
    name = _name(_decode(argument, _Memo).name)
    surroundings.machine.memo_put(name, None)
    surroundings.files.undo(name)


_HANDLERS: Final[dict[str, Callable[[Surroundings, bytes], Awaitable[Any]]]] = {
    "memo.get": _memo_get,
    "memo.put": _memo_put,
    "memo.drop": _memo_drop,
}


def _decode(argument: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(argument, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCall("bad-call", f"the argument cannot be read: {error}") from None


def _name(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME:
        raise BadCall("bad-call", f"a name of {len(name)} characters; it has 1 to {MAX_NAME}")
    return storable(name)
