"""What a control plane keeps its state in."""

import msgspec

from mvm_ci.ports.access import Access
from mvm_ci.ports.artifacts import ArtifactStore
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.disk import Disk
from mvm_ci.ports.event_log import EventLog
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.mail import MailStore
from mvm_ci.ports.queues import Queues
from mvm_ci.ports.registry import Registry
from mvm_ci.ports.schedules import ScheduleStore
from mvm_ci.ports.secrets import Sealer, SecretStore
from mvm_ci.ports.store_figures import StoreFigures


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """One port each; ``disk``: what they are on; ``sealer``: seals what ``secrets`` stores."""

    queue: JobQueue
    mail: MailStore
    artifacts: ArtifactStore
    queues: Queues
    registry: Registry
    access: Access
    schedules: ScheduleStore
    secrets: SecretStore
    sealer: Sealer
    events: EventLog
    blobs: BlobStore
    disk: Disk
    figures: StoreFigures
