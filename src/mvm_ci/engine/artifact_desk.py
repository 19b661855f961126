"""The artifacts that guests have open here: what they write, and what they read."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.masking import Mask
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.engine.inputs import InputFile
from mvm_ci.engine.live import Live
from mvm_ci.ports.engine import ArtifactFiles, NotKept, Spool

_HELD: Final = 16
"""Artifacts that stay near for one guest; those that it read last."""


class _Open:
    """What one guest has open. ``held``: those read last at the end. ``given``: files of those that it is
    given.
    """

    __slots__ = ("given", "held", "spools")

    def __init__(self) -> None:
        self.given: dict[Artifact, Path] = {}
        self.spools: dict[str, Spool] = {}
        self.held: dict[Digest, BlobRef] = {}


class Screen:
    """A sink in front of a spool that takes no bytes that hold one of these secrets: a server may answer with
    what it was sent, and artifacts are kept.
    """

    def __init__(self, spool: Spool, secrets: Iterable[SecretValue]) -> None:
        self._spool = spool
        self._mask = Mask(secret.value for secret in secrets if secret.value is not None)
        self._end = b""

    async def write(self, data: bytes) -> None:
        """The next bytes. Raises ``NotKept``."""
        self._end = self.check(self._end + data)[-self._mask.longest :]
        await self._spool.write(data)

    def check(self, data: bytes) -> bytes:
        """``data``. Raises ``NotKept`` if it holds a secret."""
        if self._mask.data(data) != data:
            raise NotKept("secret", "the answer holds a secret of the job")
        return data


class ArtifactDesk:
    """One question of a guest comes at a time. What is open goes with the placement (``over``)."""

    def __init__(self, files: ArtifactFiles) -> None:
        self._files = files
        self._open: dict[int, _Open] = {}

    async def spool(self, live: Live, name: str, offset: int, data: bytes) -> None:
        """See ``ports.execution.ExecutionHost.spool``."""
        spools = self._of(live).spools
        spool = spools.get(name)
        if offset == 0 or spool is None:
            if spool is not None:
                spool.discard()
            spool = spools[name] = self._files.spool()
        with suppress(NotKept):  # ``keep`` raises it again
            await spool.write(data)

    async def given(self, live: Live, artifacts: Iterable[Artifact]) -> tuple[InputFile, ...]:
        """Gets what a guest is given near, for as long as its placement lasts. Raises ``NotFound``,
        ``Unavailable``; asked again, it goes on with what is missing.
        """
        given = self._of(live).given
        for artifact in artifacts:
            if artifact not in given:
                path = await self._files.hold(_ref(artifact))
                if live.gone:
                    self._files.release(_ref(artifact))
                    return ()
                given[artifact] = path
        return tuple(InputFile(one.name, str(path), one.size) for one, path in given.items())

    def begin(self) -> Spool:
        """An empty one that belongs to the caller."""
        return self._files.spool()

    async def keep(self, live: Live, name: str) -> BlobRef:
        """Brings what was spooled to the control plane. Raises ``NotKept``."""
        spool = self._of(live).spools.pop(name, None) or self._files.spool()
        try:
            return await spool.upload(live.placed)
        finally:
            spool.discard()

    async def read(self, live: Live, ref: BlobRef, offset: int, size: int) -> bytes:
        """A part of an artifact. Raises ``NotFound``, ``Unavailable``."""
        held = self._of(live).held
        if ref.digest in held:
            held[ref.digest] = held.pop(ref.digest)
        else:
            await self._files.hold(ref)
            if live.gone:
                self._files.release(ref)
                return b""
            held[ref.digest] = ref
            if len(held) > _HELD:
                self._files.release(held.pop(next(iter(held))))
        try:
            return await self._files.read(ref, offset, size)
        except Unavailable:
            self._files.release(held.pop(ref.digest))
            raise

    async def hold(self, ref: BlobRef) -> Path:
        """Gets an artifact near, until ``release``. Raises ``NotFound``, ``Unavailable``."""
        return await self._files.hold(ref)

    def release(self, ref: BlobRef) -> None:
        """Ends a ``hold``."""
        self._files.release(ref)

    def over(self, live: Live) -> None:
        """The placement is over."""
        gone = self._open.pop(live.number, None)
        if gone is not None:
            for spool in gone.spools.values():
                spool.discard()
            for ref in (*gone.held.values(), *map(_ref, gone.given)):
                self._files.release(ref)

    def _of(self, live: Live) -> _Open:
        found = self._open.get(live.number)
        if found is None:
            found = _Open()
            if not live.gone:
                self._open[live.number] = found
        return found


def _ref(artifact: Artifact) -> BlobRef:
    return BlobRef(artifact.digest, artifact.size)
