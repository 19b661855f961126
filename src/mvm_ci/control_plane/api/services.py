"""What the API's routes work with."""

from collections.abc import Callable

import msgspec

from mvm_ci.control_plane.api.audit import AuditTrail
from mvm_ci.control_plane.api.auth import Authentication
from mvm_ci.control_plane.metrics import Metrics
from mvm_ci.lifecycle.artifacts import Artifacts
from mvm_ci.lifecycle.backpressure import Backpressure
from mvm_ci.lifecycle.change import Changer
from mvm_ci.lifecycle.counts import JobCounts
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.events import Events
from mvm_ci.lifecycle.explain import Explainer
from mvm_ci.lifecycle.fleet import Fleet
from mvm_ci.lifecycle.fork import Forker
from mvm_ci.lifecycle.messages import Messages
from mvm_ci.lifecycle.modules import Modules
from mvm_ci.lifecycle.namespaces import Namespaces
from mvm_ci.lifecycle.promises import Promises
from mvm_ci.lifecycle.reads import JobReads
from mvm_ci.lifecycle.record import Recorder
from mvm_ci.lifecycle.recordings import Recordings
from mvm_ci.lifecycle.schedules import Schedules
from mvm_ci.lifecycle.secrets import Secrets
from mvm_ci.lifecycle.sessions import Sessions
from mvm_ci.lifecycle.submit import Submitter
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.ports.access import Access
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.queues import Queues
from mvm_ci.ports.registry import Registry


class Services(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The use cases and ports of one control plane. ``random``: secure random bytes, as many as asked for."""

    queue: JobQueue
    reads: JobReads
    registry: Registry
    access: Access
    namespaces: Namespaces
    auth: Authentication
    trail: AuditTrail
    blobs: BlobStore
    clock: Clock
    submitter: Submitter
    artifacts: Artifacts
    backpressure: Backpressure
    changer: Changer
    messages: Messages
    promises: Promises
    forker: Forker
    explainer: Explainer
    queues: Queues
    schedules: Schedules
    modules: Modules
    secrets: Secrets
    dispatcher: Dispatcher
    waiters: Waiters
    events: Events
    counts: JobCounts
    metrics: Metrics
    sessions: Sessions
    fleet: Fleet
    recorder: Recorder
    recordings: Recordings
    ticket: Callable[[], str]
    random: Callable[[int], bytes]
    version: str
    started_ms: int
