"""The calls of ``guest/abi/calls.md``: what a guest may ask for by name, in JSON."""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NoReturn, Protocol, TypeVar

import msgspec

from mvm_ci.domain.ids import format_job_id, parse_job_id
from mvm_ci.domain.mail import MAX_TOPICS, Mail, is_type, of_child, shown_topic
from mvm_ci.domain.payload import Payload, is_json
from mvm_ci.domain.shown import MAX_TEXT, Progress
from mvm_ci.files.system import FileSystem
from mvm_ci.journal.describe import storable
from mvm_ci.journal.replay import Replay
from mvm_ci.lifecycle.artifact_calls import CALLS, ArtifactCalls, Refused

T = TypeVar("T")

MAX_NAME: Final = 200
"""Characters of a name that a guest gives something."""
MAX_ASKED: Final = 1 << 20
"""Bytes of an argument that goes to the control plane."""
_TOKEN_BYTES: Final = 24
_LONGEST_S: Final = 10 * 365 * 86_400.0
_encoder: Final = msgspec.json.Encoder()


class Surroundings(Protocol):
    """The execution of the guest that calls."""

    machine: Replay
    artifacts: ArtifactCalls

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

    def tell_rest(self) -> None:
        """What was held back of the guest's text is written."""
        ...

    async def ask(self, name: str, argument: bytes, about: str | None = None) -> bytes:
        """What the control plane answers. ``about``: for the journal, see ``Replay.ask``."""
        ...

    def tell(self, name: str, argument: bytes) -> None:
        """Says something to the control plane."""
        ...

    async def mail(self, topics: tuple[str, ...], duration_ns: int | None) -> Mail | None:
        """Waits for mail; None: it took too long."""
        ...

    async def durable(self) -> None:
        """Returns when everything so far is durable."""
        ...

    def cancelled(self) -> bool:
        """Whether the guest learns now that its job is being cancelled."""
        ...

    def continue_as_new(self, given: Payload) -> NoReturn:
        """The guest ends, to go on as a new execution."""
        ...


class _Error(msgspec.Struct, frozen=True):
    kind: str
    message: str


class _Answer(msgspec.Struct, frozen=True):
    ok: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    error: _Error | None = None


class BadCall(Exception):
    """The guest asked for something that is not there. ``kind``: for programs."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Interrupted(BadCall):
    """The guest's job is being cancelled."""

    def __init__(self) -> None:
        super().__init__("cancelled", "the job is being cancelled")


class _Memo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Wait(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    topics: tuple[str, ...]
    timeout_s: float | None = None


class _Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    input: msgspec.Raw


class _Promise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    label: str = ""


class _Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _MemoValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    value: msgspec.Raw


async def answer(surroundings: Surroundings, name: str, argument: bytes) -> bytes:
    """The document that answers a call. Raises ``LimitReached``, ``NondeterminismDetected`` and
    ``SecretMissing``.
    """
    handler = _HANDLERS.get(name, _unknown)
    try:
        if surroundings.cancelled():
            raise Interrupted
        if handler is not _secret_get:
            _check_no_secret(surroundings, argument)
        return _encoder.encode({"ok": await handler(surroundings, argument)})
    except (BadCall, Refused) as error:
        return error_document(error.kind, str(error))


def error_document(kind: str, message: str) -> bytes:
    """The document that answers a call of which nothing comes."""
    return _encoder.encode({"error": {"kind": kind, "message": message}})


def _check_no_secret(surroundings: Surroundings, argument: bytes) -> None:
    """Whatever a call is for, what it is given is kept or goes to other jobs."""
    if surroundings.machine.disclosed.json(argument) != argument:
        raise BadCall("secret", "the argument holds a secret that the job has read")


async def _unknown(_surroundings: Surroundings, _argument: bytes) -> None:
    raise BadCall("unknown-call", f"there is no such call; there are {', '.join(_HANDLERS)}")


async def _memo_get(surroundings: Surroundings, argument: bytes) -> Any:  # noqa: ANN401 - any JSON value
    asked = _decode(argument, _Memo)
    name = _name(asked.name)
    # What is passed by at replay begins and ends with nothing held back.
    surroundings.tell_rest()
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
    surroundings.tell_rest()
    surroundings.machine.memo_put(name, await surroundings.store(bytes(asked.value)))
    surroundings.files.undo(name)
    # It may have taken hours: it is not to wait for the next request.
    surroundings.post()


async def _memo_drop(surroundings: Surroundings, argument: bytes) -> None:
    name = _name(_decode(argument, _Memo).name)
    surroundings.tell_rest()
    surroundings.machine.memo_put(name, None)
    surroundings.files.undo(name)


async def _secret_get(surroundings: Surroundings, argument: bytes) -> str:
    name = _decode(argument, _Secret).name
    value = surroundings.machine.secret(name)
    if value is None:
        raise BadCall("refused", f"the job does not name the secret {name[:MAX_NAME]!r}")
    return value


async def _job_info(surroundings: Surroundings, _argument: bytes) -> dict[str, Any]:
    identity = surroundings.machine.identity
    return {"job": format_job_id(identity.job), "attempt": identity.attempt, "module": identity.module}


async def _check(_surroundings: Surroundings, _argument: bytes) -> None:
    """Every call learns of a cancellation; this one does nothing else."""


async def _durable(surroundings: Surroundings, _argument: bytes) -> None:
    await surroundings.durable()


async def _wait(surroundings: Surroundings, argument: bytes) -> dict[str, Any] | None:
    asked = _decode(argument, _Wait)
    if not 0 < len(asked.topics) <= MAX_TOPICS:
        raise BadCall("bad-call", f"{len(asked.topics)} topics; there must be 1 to {MAX_TOPICS}")
    topics = tuple(dict.fromkeys(map(_topic, asked.topics)))
    seconds = asked.timeout_s
    if seconds is not None and not 0 <= seconds <= _LONGEST_S:
        raise BadCall("bad-call", f"timeout_s: {seconds} is not between 0 and {_LONGEST_S:.0f}")
    mail = await surroundings.mail(topics, None if seconds is None else int(seconds * 1e9))
    if mail is None:
        return None
    shown: dict[str, Any] = {"topic": shown_topic(mail.topic)}
    if mail.failure is not None:
        shown["failure"] = mail.failure
    if mail.body is not None:
        body = await surroundings.load(mail.body)
        if is_json(body):
            shown["value"] = msgspec.Raw(body)
        else:
            shown["base64"] = body
    return shown


async def _promise(surroundings: Surroundings, argument: bytes) -> dict[str, Any]:
    asked = _decode(argument, _Promise)
    # Of the execution's randomness: so it is the same at every replay, and stands in no entry.
    token = b64encode(surroundings.machine.random(_TOKEN_BYTES), b"-_").decode()
    digest = sha256(token.encode()).hexdigest()
    opened = _encoder.encode({"label": asked.label, "digest": digest})
    answer = msgspec.json.decode(await surroundings.ask("promise.create", opened))
    if "error" in answer:
        raise BadCall(answer["error"]["kind"], answer["error"]["message"])
    return {**answer["ok"], "token": token}


async def _continue(surroundings: Surroundings, argument: bytes) -> None:
    given = bytes(_decode(argument, _Input).input)
    _check_size(given)
    stored = await surroundings.store(given)
    surroundings.tell_rest()
    surroundings.continue_as_new(stored)


async def _progress(surroundings: Surroundings, argument: bytes) -> None:
    said = _decode(argument, Progress)
    if len(said.text) > MAX_TEXT:
        raise BadCall("bad-call", f"text: {len(said.text)} characters; at most {MAX_TEXT} are allowed")
    surroundings.tell("progress", _encoder.encode(said))


def _asked(name: str) -> Callable[[Surroundings, bytes], Awaitable[Any]]:
    async def ask(surroundings: Surroundings, argument: bytes) -> Any:  # noqa: ANN401 - any JSON value
        _check_size(argument)
        answer = msgspec.json.decode(await surroundings.ask(name, argument), type=_Answer)
        if answer.error is not None:
            raise BadCall(answer.error.kind, answer.error.message)
        return answer.ok

    return ask


def _of_artifacts(name: str) -> Callable[[Surroundings, bytes], Awaitable[Any]]:
    kind, carry_out = CALLS[name]

    async def act(surroundings: Surroundings, argument: bytes) -> Any:  # noqa: ANN401 - any JSON value
        return await carry_out(surroundings.artifacts, _decode(argument, kind))

    return act


_HANDLERS: Final[dict[str, Callable[[Surroundings, bytes], Awaitable[Any]]]] = {
    "memo.get": _memo_get,
    "memo.put": _memo_put,
    "memo.drop": _memo_drop,
    "job.info": _job_info,
    "job.check": _check,
    "job.durable": _durable,
    "job.continue": _continue,
    "job.progress": _progress,
    "job.metadata": _asked("job.metadata"),
    "child.start": _asked("child.start"),
    "child.cancel": _asked("child.cancel"),
    "message.send": _asked("message.send"),
    "promise.create": _promise,
    "wait": _wait,
    "secret.get": _secret_get,
    "artifact.list": _asked("artifact.list"),
    **{name: _of_artifacts(name) for name in CALLS},
}


@lru_cache(4096)  # who waits for a thousand children names them a thousand times
def _topic(text: str) -> str:
    """A topic in the words of guests, in ours."""
    kind, _, about = text.partition(":")
    try:
        if kind == "child":
            return of_child(parse_job_id(about))
        if kind in {"message", "promise"} and is_type(about):
            return text
    except ValueError:
        pass
    raise BadCall("bad-call", f"{text[:80]!r} is no topic: child:ID, message:TYPE or promise:ID")


def _decode(argument: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(argument, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCall("bad-call", f"the argument cannot be read: {error}") from None


def _check_size(argument: bytes) -> None:
    if len(argument) > MAX_ASKED:
        raise BadCall("too-large", f"an argument of {len(argument)} bytes; at most {MAX_ASKED} are allowed")


def _name(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME:
        raise BadCall("bad-call", f"a name of {len(name)} characters; it has 1 to {MAX_NAME}")
    return storable(name)
