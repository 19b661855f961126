"""What a control plane keeps its state in."""

from typing import Protocol

from mvm_ci.ports.access import Access
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.registry import Registry


class Stores(Protocol):
    """The ports of one state, so that their writes share commits."""

    @property
    def queue(self) -> JobQueue: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def access(self) -> Access: ...
