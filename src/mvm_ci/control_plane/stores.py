"""What a control plane keeps its state in."""

import msgspec

from mvm_ci.ports.access import Access
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.registry import Registry


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """One port each."""

    queue: JobQueue
    registry: Registry
    access: Access
    blobs: BlobStore
