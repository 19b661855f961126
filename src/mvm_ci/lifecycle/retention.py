"""Retention: what is over goes after its time, in small batches between all else the stores have to do.

A round removes jobs that are too old or too many, then journals, artifacts and idempotency keys of older jobs
that stay, old entries of the audit log, and blobs that nothing refers to any more (mark and sweep). What a
job that is not over needs stays: its row and journals, the jobs it waits for, and every blob they name.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec
import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.retention import Bounds, Excess, RetentionPolicy, bounds_by_age
from mvm_ci.lifecycle.modules import Modules
from mvm_ci.ports.access import Access
from mvm_ci.ports.artifacts import ArtifactStore
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.event_log import EventLog
from mvm_ci.ports.registry import Registry
from mvm_ci.ports.retention import Removal, RetainedJobs
from mvm_ci.ports.schedules import ScheduleStore
from mvm_ci.ports.secrets import SecretStore

log = structlog.get_logger(__name__)

ROUND_MS: Final = 3_600_000
"""Between rounds, and before the first: workers come back before what they just stored is judged."""
PAUSE_MS: Final = 20
"""Between batches."""
REMOVE_AT_ONCE: Final = 100
"""Jobs in one write; a commit of others waits no longer than for these."""
ENTRIES_AT_ONCE: Final = 1_000
LOOK_AT_ONCE: Final = 500
READ_AT_ONCE: Final = 100
"""Jobs whose journals are read through together."""
BLOBS_AT_ONCE: Final = 1_000
MOST_BLOBS: Final = 50_000
"""Judged in one round; the next round goes on after them."""
Remove: TypeAlias = Callable[[JobId, Bounds, int], Awaitable[Removal]]


class Removed(msgspec.Struct):
    """What was removed since the start."""

    jobs: int = 0
    modules: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    events: int = 0
    journals: int = 0
    """Jobs that lost theirs, and stay."""
    artifacts: int = 0
    """The same."""
    uploads: int = 0
    keys: int = 0
    audit_entries: int = 0
    secret_versions: int = 0


class RetainedStores(msgspec.Struct, frozen=True, kw_only=True):
    """Where there is something to remove, or something that needs it."""

    jobs: RetainedJobs
    artifacts: ArtifactStore
    registry: Registry
    access: Access
    schedules: ScheduleStore
    blobs: BlobStore
    events: EventLog
    secrets: SecretStore


class Retention:
    """A duty of the control plane. ``removed`` counts. ``keys_gone``: told that jobs older than one may have
    lost their idempotency keys.
    """

    def __init__(
        self,
        stores: RetainedStores,
        modules: Modules,
        clock: Clock,
        policy: RetentionPolicy,
        keys_gone: Callable[[JobId], None],
    ) -> None:
        self._jobs = stores.jobs
        self._artifacts = stores.artifacts
        self._registry = stores.registry
        self._access = stores.access
        self._schedules = stores.schedules
        self._blobs = stores.blobs
        self._events = stores.events
        self._secrets = stores.secrets
        self._modules = modules
        self._clock = clock
        self._policy = policy
        self._keys_gone = keys_gone
        self._blobs_after: Digest | None = None
        self.removed = Removed()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await self._clock.sleep(ROUND_MS)
            for part in (
                self.remove_jobs,
                self.remove_journals,
                self.remove_artifacts,
                self.forget_keys,
                self.prune_audit,
                self.remove_modules,
                self.remove_blobs,
                self.trim_events,
                self.prune_secrets,
            ):
                await self._carefully(part)

    async def remove_jobs(self) -> None:
        """Removes the jobs that are too old, then those too many. Raises ``Unavailable``."""
        by_age = bounds_by_age(self._policy.jobs_age_ms, self._clock.now_ms())
        if by_age is not None:
            await self._remove_within(by_age)
        first = await self._first_too_many()
        if first is not None:
            await self._remove_within(Bounds(JobId(first + 1), self._clock.now_ms() + 1))

    async def remove_journals(self) -> None:
        """Removes journals, and so logs, that are to go before their jobs. Raises ``Unavailable``."""
        bounds = bounds_by_age(self._policy.journals_age_ms, self._clock.now_ms())
        if bounds is not None:
            self.removed.journals += await self._through(self._jobs.remove_journals, bounds)

    async def remove_artifacts(self) -> None:
        """Removes artifacts that are to go before their jobs, and uploads that are as old as a blob may get
        that nothing refers to: jobs submitted with them have them for themselves. Raises ``Unavailable``.
        """
        bounds = bounds_by_age(self._policy.artifacts_age_ms, self._clock.now_ms())
        if bounds is not None:
            self.removed.artifacts += await self._through(self._jobs.remove_artifacts, bounds)
        before_ms = self._clock.now_ms() - self._policy.blob_grace_ms
        removed = ENTRIES_AT_ONCE
        while removed == ENTRIES_AT_ONCE:
            removed = await self._artifacts.forget_uploads(before_ms, ENTRIES_AT_ONCE)
            self.removed.uploads += removed
            await self._clock.sleep(PAUSE_MS)

    async def forget_keys(self) -> None:
        """Forgets idempotency keys that are to go before their jobs. Raises ``Unavailable``."""
        bounds = bounds_by_age(self._policy.keys_age_ms, self._clock.now_ms())
        if bounds is not None:
            self.removed.keys += await self._through(self._jobs.forget_keys, bounds)
            self._keys_gone(bounds.before)

    async def prune_audit(self) -> None:
        """Removes old entries of the audit log. Raises ``Unavailable``."""
        if self._policy.audit_age_ms is None:
            return
        before_ms = self._clock.now_ms() - self._policy.audit_age_ms
        removed = ENTRIES_AT_ONCE
        while removed == ENTRIES_AT_ONCE:
            removed = await self._access.prune_audit(before_ms, ENTRIES_AT_ONCE)
            self.removed.audit_entries += removed
            await self._clock.sleep(PAUSE_MS)

    async def remove_modules(self) -> None:
        """Takes modules out of namespaces that hold them for long, and where nothing is of them: no kept job,
        no schedule, no version of a name.

        Raises ``Unavailable``.
        """
        if self._policy.modules_age_ms is None:
            return
        old = await self._registry.nameless(self._clock.now_ms() - self._policy.modules_age_ms)
        old -= await self._schedules.modules()
        digests = {holding.digest for holding in old}
        after: JobId | None = JobId(0)
        while old and after is not None:
            references = await self._jobs.references(after, digests, READ_AT_ONCE)
            old -= references.modules
            after = references.last
            await self._clock.sleep(PAUSE_MS)
        if old:
            self.removed.modules += await self._modules.remove(old)

    async def remove_blobs(self) -> None:
        """Removes blobs that nothing refers to and that were put long enough ago. Raises ``Unavailable``."""
        # Of before the look for references: what is put or asked for during it is kept longer.
        kept_before_ms = self._clock.now_ms() - self._policy.blob_grace_ms
        old = await self._old_blobs(kept_before_ms)
        for digest in await self._registry.held_digests() if old else ():
            old.pop(digest, None)
        await self._spare_artifacts(old)
        await self._spare_referenced(old)
        digests = list(old)
        for at in range(0, len(digests), REMOVE_AT_ONCE):
            gone = await self._blobs.remove(digests[at : at + REMOVE_AT_ONCE], kept_before_ms)
            self.removed.blobs += len(gone)
            self.removed.blob_bytes += sum(old[digest] for digest in gone)
            await self._clock.sleep(PAUSE_MS)

    async def trim_events(self) -> None:
        """Removes events that are too old or too many. Raises ``Unavailable``."""
        age_ms, count = self._policy.events_age_ms, self._policy.events_count
        before_ms = 0 if age_ms is None else self._clock.now_ms() - age_ms
        batches = REMOVE_AT_ONCE
        while batches == REMOVE_AT_ONCE:
            batches, events = await self._events.trim(before_ms, count, REMOVE_AT_ONCE)
            self.removed.events += events
            await self._clock.sleep(PAUSE_MS)

    async def _spare_artifacts(self, old: dict[Digest, int]) -> None:
        """Takes out of ``old`` what is an artifact, or was uploaded to become one."""
        digests = list(old)
        for at in range(0, len(digests), BLOBS_AT_ONCE):
            for digest in await self._artifacts.referenced(digests[at : at + BLOBS_AT_ONCE]):
                del old[digest]
            await self._clock.sleep(PAUSE_MS)

    async def prune_secrets(self) -> None:
        """Removes versions of secrets that no job needs any more. Raises ``Unavailable``."""
        self.removed.secret_versions += await self._secrets.prune()

    async def _spare_referenced(self, old: dict[Digest, int]) -> None:
        """Takes out of ``old`` what kept jobs refer to."""
        after: JobId | None = JobId(0)
        while old and after is not None:
            references = await self._jobs.references(after, old.keys(), READ_AT_ONCE)
            for digest in references.found:
                del old[digest]
            after = references.last
            await self._clock.sleep(PAUSE_MS)

    async def _remove_within(self, bounds: Bounds) -> None:
        self.removed.jobs += await self._through(self._jobs.remove_finished, bounds)
        self._keys_gone(bounds.before)

    async def _through(self, remove: Remove, bounds: Bounds) -> int:
        """Batch by batch; how many in all."""
        removed = 0
        after: JobId | None = JobId(0)
        while after is not None:
            removal = await remove(after, bounds, REMOVE_AT_ONCE)
            removed += removal.removed
            after = removal.last
            await self._clock.sleep(PAUSE_MS)
        return removed

    async def _first_too_many(self) -> JobId | None:
        excess = Excess(self._policy)
        before: JobId | None = None
        while excess.limited:
            page = await self._jobs.finished(before, LOOK_AT_ONCE)
            first = excess.first_of(page.jobs)
            if first is not None or page.last is None:
                return first
            before = page.last
            await self._clock.sleep(PAUSE_MS)
        return None

    async def _old_blobs(self, kept_before_ms: int) -> dict[Digest, int]:
        """The sizes of the next blobs that are old enough."""
        old: dict[Digest, int] = {}
        while len(old) < MOST_BLOBS:
            page = await self._blobs.stored(self._blobs_after, BLOBS_AT_ONCE)
            old.update((blob.digest, blob.size) for blob in page if blob.kept_ms < kept_before_ms)
            self._blobs_after = page[-1].digest if len(page) == BLOBS_AT_ONCE else None
            if self._blobs_after is None:
                break
            await self._clock.sleep(PAUSE_MS)
        return old

    async def _carefully(self, part: Callable[[], Awaitable[None]]) -> None:
        before = msgspec.structs.astuple(self.removed)
        try:
            await part()
        except Unavailable as error:
            log.warning("retention_put_off", error=str(error), again_in_ms=ROUND_MS)
        if msgspec.structs.astuple(self.removed) != before:
            log.info("retention_removed", since_start=msgspec.structs.asdict(self.removed))
