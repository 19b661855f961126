"""Host functions of components, and the resources that they hand out.

wasmtime resolves any ``@0.2.x`` import to the newest version that it registers. A definition under another
version is silently ignored, and the guest would see what is the library's: ``WASI_VERSION`` must be exactly
the one of the library, which ``self_test`` proves.
"""

from collections.abc import Callable, Coroutine, Mapping
from ctypes import addressof, c_uint64, c_void_p
from enum import IntEnum, auto
from typing import Any, Final, TypeVar

from wasmtime.component import LinkerInstance, ResourceType

from mvm_ci.adapters.wasm import capi, component_images
from mvm_ci.adapters.wasm.component_images import (
    WrongType,
    count_at,
    encoded_at,
    number_at,
    octets_at,
    resource,
    resource_at,
    size_at,
)
from mvm_ci.adapters.wasm.current_run import CurrentRun, Run
from mvm_ci.adapters.wasm.failures import guest_failed
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.ports.guest import GuestFailed, GuestLimits, HostCalls

WASI_VERSION: Final = "0.2.12"
MAX_RESOURCES: Final = 16_384
_UNWIND: Final = b"unwound by the host"
_T = TypeVar("_T")


class Kind(IntEnum):
    """Kinds of resources; the numbers tell them apart in the library."""

    ERROR = auto()
    INPUT = auto()
    OUTPUT = auto()
    DESCRIPTOR = auto()
    LISTING = auto()
    POLLABLE = auto()


class ComponentRun(Run):
    """A run of a component, and what stands behind the resources that its guest holds."""

    __slots__ = ("_next", "things")

    def __init__(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> None:
        super().__init__(payload, host, limits)
        self.things: dict[int, Any] = {}
        self._next = 0

    def keep_thing(self, thing: object) -> int:
        """The number that stands for ``thing`` until the guest drops it."""
        if len(self.things) >= MAX_RESOURCES:
            raise guest_failed(
                FailureKind.ERROR, f"it holds more than {MAX_RESOURCES} open files, streams and errors"
            )
        self._next += 1
        self.things[self._next] = thing
        return self._next


class Call:
    """One call of a host function: its run and its arguments, by their index. They are gone when the function
    returns. ``result``: the address of where the result goes, which stays until the guest goes on.
    """

    __slots__ = ("_arguments", "_count", "_result", "context", "run")

    def __init__(
        self, run: ComponentRun, context: int, arguments: tuple[int, int], result: tuple[int, int]
    ) -> None:
        """``arguments`` and ``result``: where they are, and how many of them."""
        self.run: Final = run
        self.context: Final = context
        self._arguments, self._count = arguments
        self._result = result

    @property
    def result(self) -> int:
        at, count = self._result
        if count != 1:
            raise WrongType
        return at

    def at(self, index: int) -> int:
        """The address of an argument."""
        if index >= self._count:
            raise WrongType
        return self._arguments + component_images.BYTES * index

    def number(self, index: int) -> int:
        """A u64."""
        return number_at(self.at(index))

    def text(self, index: int) -> str:
        """A string."""
        return encoded_at(self.at(index)).decode()

    def encoded(self, index: int) -> bytes:
        """The bytes of a string."""
        return encoded_at(self.at(index))

    def size(self, index: int) -> int:
        """How many bytes a string has."""
        return size_at(self.at(index))

    def count(self, index: int) -> int:
        """How many values a list has."""
        return count_at(self.at(index))

    def octets(self, index: int, most: int) -> bytes:
        """A list of u8, or its first ``most``."""
        return octets_at(self.at(index), most)

    def flags(self, index: int) -> set[str]:
        """The names of flags that are set."""
        return component_images.flags_at(self.at(index))

    def borrowed(self, index: int, kind: type[_T]) -> _T:
        """What stands behind a resource that the guest lends."""
        return self.borrowed_at(self.at(index), kind)

    def borrowed_at(self, at: int, kind: type[_T]) -> _T:
        """The same for the resource at an address."""
        host = c_void_p()
        pointer = resource_at(at)
        failed = capi.resource_to_host(self.context, pointer, addressof(host))
        if failed:
            raise capi.take_error(failed)
        number = capi.resource_number(host.value)
        capi.resource_delete(host.value)
        thing = self.run.things[number]
        if not isinstance(thing, kind):
            raise TypeError(f"a {type(thing).__name__} is not a {kind.__name__}")
        return thing

    def give_back(self, index: int) -> None:
        """Ends the loan of a resource that is the library's own."""
        failed = capi.resource_drop(self.context, resource_at(self.at(index)))
        if failed:
            raise capi.take_error(failed)

    def give(self, kind: Kind, thing: object) -> bytes:
        """The image of a resource that the guest owns, and that stands for ``thing``."""
        made, found = capi.resource_new(True, self.run.keep_thing(thing), kind), c_void_p()
        failed = capi.resource_from_host(self.context, made, addressof(found))
        capi.resource_delete(made)
        if failed:
            raise capi.take_error(failed)
        return resource(found.value or 0)


Function = Callable[[Call], bytes | None]
"""The image of the result; None if it has none, or has placed it at ``Call.result`` itself."""
Waiting = Callable[[Call], Coroutine[Any, Any, bytes | None]]
"""Called while the guest is on the thread; the coroutine runs when it is suspended."""


def define(
    instance: LinkerInstance, functions: Mapping[str, Function], current: CurrentRun, alive: list[Any]
) -> None:
    """Adds ``functions``, by name; what must live as long as the linker joins ``alive``."""
    for name, function in functions.items():
        callback = _callback(name, function, current)
        capi.define_in_component(instance, name, callback)
        alive.append(callback)


def define_waiting(
    instance: LinkerInstance, functions: Mapping[str, Waiting], current: CurrentRun, alive: list[Any]
) -> None:
    """The same for functions that may wait: the guest is suspended meanwhile."""
    for name, function in functions.items():
        callback = _waiting(name, function, current)
        capi.define_in_component(instance, name, callback)
        alive.append(callback)


def define_resource(
    instance: LinkerInstance, name: str, kind: Kind, current: CurrentRun, alive: list[Any]
) -> None:
    """Adds the resource ``name``; what stands behind one is closed, if it can be, when the guest drops it."""

    def drop(_environment: int, _context: int, number: int) -> int | None:
        run = None
        try:
            run = current.get()
            thing = _of(run).things.pop(number)
            close = getattr(thing, "close", None)
            if close is not None:
                close()
            return None
        except BaseException as error:
            return _unwound(run, error)

    destructor, made = capi.DESTRUCTOR(drop), ResourceType.host(kind)
    capi.define_resource(instance, name, made, destructor)
    alive += [destructor, made]


def _callback(name: str, function: Function, current: CurrentRun) -> Any:
    def call(
        _environment: int,
        context: int,
        _type: int,
        arguments: int,
        count: int,
        results: int,
        results_count: int,
    ) -> int | None:
        run = None
        try:
            run = current.get()
            run.check()
            call = Call(_of(run), context, (arguments, count), (results, results_count))
            image = function(call)
            if image is not None:
                component_images.place(call.result, image)
            return None
        except WrongType:
            return _unwound(run, _another_type(name))
        except BaseException as error:
            # A BaseException would crash the process: the reason stays in the run, the engine hears no more
            # than that there is one.
            return _unwound(run, error)

    return capi.COMPONENT_FUNCTION(call)


def _waiting(name: str, function: Waiting, current: CurrentRun) -> Any:
    async def perform(answer: Coroutine[Any, Any, bytes | None], call: Call) -> None:
        image = await answer
        if image is None:
            return
        try:
            component_images.place(call.result, image)
        except WrongType:
            raise _another_type(name) from None

    def call(
        _environment: int,
        context: int,
        _type: int,
        arguments: int,
        count: int,
        results: int,
        results_count: int,
        error_at: int,
        then: int,
    ) -> None:
        current.suspend(then)
        run = None
        try:
            run = current.get()
            run.check()
            call = Call(_of(run), context, (arguments, count), (results, results_count))
            run.pending = perform(function(call), call)
        except WrongType:
            c_uint64.from_address(error_at).value = _unwound(run, _another_type(name))
        except BaseException as error:
            c_uint64.from_address(error_at).value = _unwound(run, error)

    return capi.COMPONENT_WAITING_FUNCTION(call)


def _another_type(name: str) -> GuestFailed:
    return guest_failed(FailureKind.MODULE, f"imports {name} with another type than it has")


def _of(run: Run) -> ComponentRun:
    if not isinstance(run, ComponentRun):
        raise TypeError("a component's host function was called in the run of a core module")
    return run


def _unwound(run: Run | None, error: BaseException) -> int:
    if run is not None:
        run.keep(error)
    failed: int = capi.error_new(_UNWIND)
    return failed
