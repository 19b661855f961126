"""What guests ask the control plane about artifacts (``guest/abi/calls.md``)."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import msgspec

from mvm_ci.domain.artifact import GET, PUT, Artifact
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import Digest, format_job_id
from mvm_ci.domain.job import Durability, Job, Placed
from mvm_ci.lifecycle.artifacts import Artifacts
from mvm_ci.ports.artifacts import StoredArtifact
from mvm_ci.ports.clock import Clock

T = TypeVar("T")


class ArtifactAsks:
    """Its handlers are among those of ``GuestAsks``."""

    def __init__(self, artifacts: Artifacts, clock: Clock) -> None:
        self._artifacts = artifacts
        self._clock = clock
        self._handlers = {PUT: self._put, GET: self._get, "artifact.list": self._list}

    def handler(self, name: str, placed: Placed) -> Callable[[Job, str, bytes], Awaitable[Any]] | None:
        """What carries out a call of a placement's guest; None: it is no call of these."""
        handler = self._handlers.get(name)
        return None if handler is None else partial(handler, placed)

    async def _put(self, placed: Placed, job: Job, key: str, argument: bytes) -> dict[str, Any]:
        asked = _decode(argument, _Put)
        artifact = Artifact(asked.name, Digest(asked.digest), asked.size, asked.media)
        await self._artifacts.put(placed, job, self._number(job, key), artifact)
        return _shown(artifact)

    def _number(self, job: Job, key: str) -> int:
        """What grows with an execution's calls. Raises ``BadInput``: no engine of ours makes such a key."""
        beginning, _, number = key.rpartition("-")
        known = beginning.rpartition("-")[0] == format_job_id(job.id)
        if not (known and number.isascii() and number.isdecimal() and len(number) <= 15):
            raise BadInput(f"{key[:80]!r} is no key of a call")
        if job.spec.durability is Durability.NONE:
            # Run again in its placement it counts from 0 again, and may put other bytes.
            return self._clock.now_ms()
        return int(number)

    async def _get(self, _placed: Placed, job: Job, _key: str, argument: bytes) -> dict[str, Any]:
        asked = _decode(argument, _Get)
        return _shown(await self._artifacts.get(job, asked.name, asked.job))

    async def _list(self, _placed: Placed, job: Job, _key: str, argument: bytes) -> list[dict[str, Any]]:
        found: list[StoredArtifact] = await self._artifacts.listing(job, _decode(argument, _List).job)
        return [_shown(one.artifact) | {"input": one.input} for one in found]


class _Put(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    digest: str
    size: int
    media: str = ""


class _Get(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    job: str | None = None


class _List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    job: str | None = None


def _shown(artifact: Artifact) -> dict[str, Any]:
    return msgspec.structs.asdict(artifact)


def _decode(argument: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(argument, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"the argument cannot be read: {error}") from None
