"""A leaner way for iroh's generated bindings to wait for their Rust futures.

The generated code answers each poll through ``call_soon_threadsafe``, so that even a write which is done at
once wakes the event loop through its pipe; and it builds two structures field by field for each call. Here
an answer that comes inside the poll, on the loop's own thread, costs one turn of the loop, and the
structures are made of zeroes, which is what they hold. What is called and freed, and when, stays the same.
"""

import asyncio
import itertools
import threading
from collections.abc import Callable, Generator
from typing import Any, Final

from iroh import iroh_ffi

_bindings: Final[Any] = iroh_ffi  # generated, without types
_READY: Final[int] = _bindings._UNIFFI_RUST_FUTURE_POLL_READY  # noqa: SLF001
_PARTS: Final = (
    "_uniffi_rust_call_async",
    "_uniffi_rust_call_with_error",
    "_UNIFFI_RUST_FUTURE_CONTINUATION_CALLBACK",
    "_UniffiRustCallStatus",
    "_UniffiRustBuffer",
)


class _Poll:
    """One poll under way."""

    __slots__ = ("code", "future", "inside", "loop", "thread")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.thread = threading.get_ident()
        self.inside = True
        self.code: int | None = None
        self.future: asyncio.Future[int] = loop.create_future()

    def answer(self, code: int) -> None:
        """The poll's answer, on the loop's thread."""
        if not self.future.done():
            self.future.set_result(code)


_numbers: Final = itertools.count(1)
_polls: Final[dict[int, _Poll]] = {}


@_bindings._UNIFFI_RUST_FUTURE_CONTINUATION_CALLBACK  # type: ignore[untyped-decorator]  # noqa: SLF001
def _continued(number: int, code: int) -> None:
    poll = _polls.pop(number)
    if threading.get_ident() != poll.thread:
        poll.loop.call_soon_threadsafe(poll.answer, code)
    elif poll.inside:
        poll.code = code
    else:
        # Another call of this thread into the library woke it.
        poll.loop.call_soon(poll.answer, code)


class _Turn:
    """One turn of the event loop: whoever is always ready still lets others run, and batches gather."""

    def __await__(self) -> Generator[None, None, None]:
        yield


_TURN: Final = _Turn()


async def _call(
    rust_future: int,
    poll_it: Callable[..., None],
    complete: Callable[..., Any],
    free: Callable[[int], None],
    lift: Callable[[Any], Any],
    error_converter: Any,
) -> Any:
    try:
        loop = asyncio.get_running_loop()
        while True:
            poll = _Poll(loop)
            number = next(_numbers)
            _polls[number] = poll
            poll_it(rust_future, _continued, number)
            poll.inside = False
            if poll.code is None:
                code = await poll.future
            else:
                code = poll.code
                await _TURN
            if code == _READY:
                break
        return lift(_bindings._uniffi_rust_call_with_error(error_converter, complete, rust_future))  # noqa: SLF001
    finally:
        free(rust_future)


def known() -> bool:
    """Whether the installed bindings have the parts that ``apply`` replaces."""
    return all(hasattr(iroh_ffi, part) for part in _PARTS)


def apply() -> None:
    """Replaces the waiting, if its parts are there. Safe to repeat."""
    if known():
        _bindings._uniffi_rust_call_async = _call  # noqa: SLF001
        for structure in (_bindings._UniffiRustCallStatus, _bindings._UniffiRustBuffer):  # noqa: SLF001
            structure.default = staticmethod(structure)
