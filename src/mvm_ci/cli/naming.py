"""What people type for a job, a module or a worker: an id, the beginning of one, or a name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mvm_ci.domain.errors import BadInput, NotFound
from mvm_ci.domain.ids import job_id_range, parse_job_id
from mvm_ci.domain.module_names import parse_reference

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JoinTokenView, ModuleView, TokenView, WorkerView

SHORTEST: Final = 4
"""Characters that the beginning of an id must have."""
_JOB_ID: Final = 14
_DIGEST: Final = 64
_HEX: Final = frozenset("0123456789abcdef")
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class FoundModule:
    """``reference``: what a job is to name: the published name as it was typed, so that it is what was asked
    for, or else the digest; ``name``: of its jobs that have none of their own.
    """

    reference: str
    digest: str
    name: str


async def find_job(client: "ApiClient", text: str) -> str:
    """The id of the one job that ``text`` means. Raises ``BadInput``, ``NotFound``."""
    typed = text.lower()
    try:
        if len(typed) == _JOB_ID:
            parse_job_id(typed)
            return typed
        job_id_range(typed)
    except ValueError:
        raise BadInput(
            f"{text!r} is not a job id: the letter j and 13 letters and digits, or their beginning"
        ) from None
    _check_length(text, "a job id")
    found = [view.id for view in (await client.jobs(prefix=typed, limit=_SHOWN + 1)).jobs]
    return _only(found, f"job whose id begins with {text}")


async def find_module(client: "ApiClient", text: str) -> FoundModule:
    """The one module with this published name or ``name@version``, digest, beginning of a digest, or name
    that it was pushed with (the newest of that name).
    """
    published = await _find_published(client, text)
    if published is not None:
        return published
    if may_be_digest(text):
        try:
            return pushed(await find_module_by_digest(client, text))
        except NotFound:
            pass  # then it is a name that looks like one
    for view in await client.modules():
        if view.name == text:
            return pushed(view)
    raise NotFound(f"there is no module {text!r}, and no file; 'mvm-ci module list' shows what there is")


def may_be_digest(text: str) -> bool:
    """Whether this may be a module's digest, or a beginning that is long enough."""
    return set(text.lower()) <= _HEX and SHORTEST <= len(text) <= _DIGEST


async def find_module_by_digest(client: "ApiClient", text: str) -> "ModuleView":
    """The one module with this digest, or beginning of a digest."""
    found = {view.digest: view for view in await client.modules(prefix=text.lower())}
    return found[_only(list(found), f"module whose digest begins with {text}")]


def pushed(view: "ModuleView") -> FoundModule:
    """A module that was pushed just now, or found among those that were."""
    return FoundModule(view.digest, view.digest, view.name)


async def _find_published(client: "ApiClient", text: str) -> FoundModule | None:
    reference = parse_reference(text)
    if reference is None:
        return None
    try:
        if reference.version is None:
            view = await client.newest_module(reference.name)
        else:
            view = await client.module_version(reference.name, reference.version)
    except NotFound:
        return None
    return FoundModule(text, view.digest, view.name)


async def find_worker(client: "ApiClient", text: str) -> "WorkerView":
    """The one worker with this id, beginning of an id, or name."""
    views = {view.id: view for view in await client.workers()}
    named = [view.id for view in views.values() if view.name == text]
    what = f"worker {text!r}"
    return views[_only(named, what) if named else find_by_prefix(views, text, what)]


async def find_token(client: "ApiClient", text: str) -> "TokenView":
    """The one API token with this id, beginning of an id, or name (of those that are not revoked)."""
    views = {view.id: view for view in await client.tokens()}
    named = [view.id for view in views.values() if view.name == text and view.revoked_ms is None]
    what = f"token {text[:20]!r}"
    return views[_only(named, what) if named else find_by_prefix(views, text, what)]


def find_by_prefix(known: Iterable[str], text: str, what: str) -> str:
    """The one of the ids ``known`` that ``text`` is, or is the beginning of; ``what``: "worker 'abcd'".

    Raises ``NotFound``; ``BadInput``, with the matches, if there are several.
    """
    typed = text.lower()
    if len(typed) < SHORTEST:
        return _only([one for one in known if one == typed], what)
    ids = list(known)
    return _only([typed] if typed in ids else [one for one in ids if one.startswith(typed)], what)


async def find_join_token(client: "ApiClient", text: str) -> "JoinTokenView":
    """The one join token with this id or name."""
    views = {view.id: view for view in await client.join_tokens()}
    found = [text] if text in views else [view.id for view in views.values() if view.name == text]
    return views[_only(found, f"join token {text!r}")]


def read_module_file(text: str) -> bytes | None:
    """The bytes of the file ``text``, or None if it does not look like a file. Raises ``BadInput``."""
    path = Path(text)
    if not (path.is_file() or path.suffix == ".wasm" or "/" in text):
        return None
    return read_file(path)


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises ``BadInput``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None


def _check_length(text: str, what: str) -> None:
    if len(text) < SHORTEST:
        raise BadInput(f"{text!r} is too short: at least {SHORTEST} characters of {what}")


def _only(found: Sequence[str], what: str) -> str:
    if not found:
        raise NotFound(f"there is no {what}")
    if len(found) > 1:
        more = ", ..." if len(found) > _SHOWN else ""
        raise BadInput(f"there is more than one {what}: {', '.join(found[:_SHOWN])}{more}")
    return found[0]
