"""What the use cases know of a worker's connection."""

from typing import Protocol

from mvm_ci.ports.transport import PathKind
from mvm_ci.wire.messages import FromControlPlane


class Link(Protocol):
    """One connection of one worker. No method waits or raises."""

    def send(self, message: FromControlPlane) -> None:
        """Puts a message in line. It is dropped if the connection is gone: what matters is in the queue."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Ends the connection after what stands in line was sent, without waiting long for that.

        ``code``: one of the close codes of ``mvm_ci.wire.messages``.
        """
        ...

    def path(self) -> PathKind | None:
        """How bytes travel just now; None if the connection is gone."""
        ...
