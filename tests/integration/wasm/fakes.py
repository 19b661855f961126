"""The host of a guest under test: fixed answers, every call noted, any call able to raise."""

from collections.abc import Callable

from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResult
from mvm_ci.files.system import FileSystem
from mvm_ci.ports.guest import Guest, GuestLimits, HostCalls
from mvm_ci.ports.immediate import at_once

START_NS = 1_700_000_000_000_000_000


class FakeHost:
    """``raises``: what a call of that name raises. ``answers``: what ``http`` returns, by URL.
    ``give_way``: called when the guest's time slice is over.
    """

    def __init__(
        self,
        raises: dict[str, BaseException] | None = None,
        answers: dict[str, HttpResult] | None = None,
        on_call: Callable[[str], None] | None = None,
        give_way: Callable[[], None] | None = None,
    ) -> None:
        self.files = FileSystem()
        self.calls: list[tuple[str, object]] = []
        self.requests: list[HttpRequest] = []
        self.artifacts: dict[str, bytes] = {}
        self.logs: list[tuple[str, str]] = []
        self._raises = raises or {}
        self._answers = answers or {}
        self._on_call = on_call
        self._give_way = give_way
        self._elapsed_ns = 0
        self._random = 0

    def _note(self, name: str, argument: object = None) -> None:
        self.calls.append((name, argument))
        if self._on_call is not None:
            self._on_call(name)
        if name in self._raises:
            raise self._raises[name]

    def wall_clock_ns(self) -> int:
        self._note("wall_clock_ns")
        self._elapsed_ns += 1_000
        return START_NS + self._elapsed_ns

    def monotonic_ns(self) -> int:
        self._note("monotonic_ns")
        self._elapsed_ns += 1_000
        return self._elapsed_ns

    async def give_way(self) -> None:
        if self._give_way is not None:
            self._give_way()

    def random(self, size: int) -> bytes:
        self._note("random", size)
        self._random += 1
        return bytes((self._random + index) % 256 for index in range(size))

    async def sleep_until(self, monotonic_ns: int) -> None:
        self._note("sleep_until", monotonic_ns)
        self._elapsed_ns = max(self._elapsed_ns, monotonic_ns)

    async def sleep_for(self, duration_ns: int) -> None:
        self._note("sleep_for", duration_ns)
        self._elapsed_ns += duration_ns

    async def http(self, request: HttpRequest) -> HttpResult:
        self.requests.append(request)
        self._note("http", request.url)
        return self._answers.get(request.url, HttpFailure(kind="dns", message="no such host"))

    async def call(self, name: str, argument: bytes) -> bytes:
        self._note("call", name)
        if name == "job.check":
            return b'{"ok":null}'
        return b'{"error": {"kind": "unknown-call", "message": "there are none here"}}'

    async def write_artifact(self, name: str, data: bytes) -> bytes | None:
        self._note("write_artifact", (name, data))
        return None if name in self.artifacts else b'{"error": {"kind": "bad-call", "message": "not begun"}}'

    async def read_artifact(self, digest: str, offset: int, size: int) -> tuple[bytes, bytes | None]:
        self._note("read_artifact", (digest, offset, size))
        if digest not in self.artifacts:
            return b"", b'{"error": {"kind": "refused", "message": "not got"}}'
        return self.artifacts[digest][offset : offset + size], None

    def log(self, stream: str, text: str) -> None:
        self.logs.append((stream, text))
        self._note("log", stream)

    def text(self, stream: str) -> str:
        """All that was written to ``stream``."""
        return "".join(text for name, text in self.logs if name == stream)

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


class OnlyGuest:
    """A guest whose host never waits, so that it can be run as a function."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest

    def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        """See ``ports.guest.Guest.run``."""
        return at_once(self.guest.run(payload, host, limits))
