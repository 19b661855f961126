"""A link that keeps what was sent."""

from mvm_ci.ports.transport import PathKind
from mvm_ci.wire.messages import FromControlPlane


class RecordingLink:
    """``sent``: all messages; ``closed``: the first close."""

    def __init__(self) -> None:
        self.sent: list[FromControlPlane] = []
        self.closed: tuple[int, str] | None = None

    def send(self, message: FromControlPlane) -> None:
        self.sent.append(message)

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)

    def path(self) -> PathKind | None:
        return None if self.closed else "direct"
