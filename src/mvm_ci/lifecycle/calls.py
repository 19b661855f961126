"""The host calls of a guest: each asks the replay machine and does what it says."""

from collections.abc import Callable
from typing import Final, NoReturn

import msgspec

from mvm_ci.domain.errors import CorruptJournal, NondeterminismDetected, SecretMissing
from mvm_ci.domain.http import HttpRequest, HttpResponse, HttpResult
from mvm_ci.domain.mail import NEVER_MS, Mail
from mvm_ci.domain.outcome import (
    Continued,
    Failed,
    Failure,
    FailureKind,
    Parked,
    Suspended,
)
from mvm_ci.domain.payload import INLINE_LIMIT, BlobRef, Payload
from mvm_ci.domain.segment import Segment
from mvm_ci.files.given import GivenFile
from mvm_ci.files.system import FileLimits, FileSystem
from mvm_ci.journal.entries import Took
from mvm_ci.journal.replay import Replay
from mvm_ci.journal.steps import Answer, Ask, LimitReached, Perform, Wait
from mvm_ci.lifecycle.artifact_calls import PREFIX, ArtifactCalls, Refused
from mvm_ci.lifecycle.host_calls import BadCall, Interrupted, answer, error_document
from mvm_ci.lifecycle.letter_box import LetterBox
from mvm_ci.ports.execution import CANCELLED, ExecutionHost, Leave
from mvm_ci.ports.guest import GuestLimits

_NS_PER_MS: Final = 1_000_000
_POST_BYTES: Final = 32 << 10
_POST_AFTER_NS: Final = 200 * _NS_PER_MS
_REFUSALS: Final = (LimitReached, NondeterminismDetected, SecretMissing)


def parked(error: CorruptJournal | NondeterminismDetected | SecretMissing) -> Parked:
    """How a placement ends that cannot be replayed."""
    differs = isinstance(error, NondeterminismDetected)
    kind = FailureKind.NONDETERMINISM if differs else FailureKind.ENGINE
    return Parked(Failure(kind=kind, message=str(error)))


class Calls:
    """The guest's host calls (``ports.guest.HostCalls``): each asks the machine and does what it says.

    What the machine raises leaves the guest as ``Leave``: parked, or failed at a limit.
    """

    __slots__ = (
        "_box",
        "_ephemeral",
        "_files",
        "_host",
        "_inputs",
        "_memory_bytes",
        "_posted",
        "_posted_ns",
        "_shows",
        "_suspend_after_ns",
        "artifacts",
        "machine",
    )

    def __init__(
        self,
        machine: Replay,
        host: ExecutionHost,
        limits: GuestLimits,
        suspend_after_ms: int,
        now_ns: int,
        *,
        ephemeral: bool,
        inputs: tuple[GivenFile, ...] = (),
    ) -> None:
        self.machine = machine
        self._host = host
        self._suspend_after_ns = suspend_after_ms * _NS_PER_MS
        self._posted = False  # something was posted and perhaps is not durable
        self._posted_ns = now_ns
        self._ephemeral = ephemeral
        self._shows = False  # text is waiting to be posted
        self._box = LetterBox()
        self._memory_bytes = limits.memory_bytes
        self._files: FileSystem | None = None  # most guests have none
        self._inputs = inputs
        self.artifacts = ArtifactCalls(self, host)

    @property
    def files(self) -> FileSystem:
        if self._files is None:
            self._files = FileSystem(FileLimits(bytes=self._memory_bytes))
            if self._inputs:
                self._files.give(self._inputs)
        return self._files

    def wall_clock_ns(self) -> int:
        return self._clock(wall=True)

    def monotonic_ns(self) -> int:
        return self._clock(wall=False)

    def random(self, size: int) -> bytes:
        return self.machine.random(size)

    async def give_way(self) -> None:
        await self._host.give_way()

    async def sleep_until(self, monotonic_ns: int) -> None:
        await self._sleep(self.machine.sleep_until, monotonic_ns)

    async def sleep_for(self, duration_ns: int) -> None:
        await self._sleep(self.machine.sleep_for, duration_ns)

    async def http(self, request: HttpRequest) -> HttpResult:
        if self.cancelled():
            return CANCELLED
        refusal = await self.artifacts.refusal(request)
        if refusal is not None:
            return refusal
        began_ns = self._host.wall_ns()
        try:
            step = self.machine.http(request, began_ns)
        except _REFUSALS as error:
            raise _leave(error) from error
        if isinstance(step, Answer):
            if step.flush:
                await self._flush()
            if step.result == CANCELLED:
                self.cancelled()
            return await self._loaded(request, step.result)
        return await self._loaded(request, await self._perform(request, step, began_ns))

    async def _perform(self, request: HttpRequest, step: Perform, began_ns: int) -> HttpResult:
        host, machine = self._host, self.machine
        await self._flush()
        # What came while the entries became durable counts, too.
        result: HttpResult = CANCELLED
        if not self._interrupts:
            result = await host.http(request, step.key, whole=bool(machine.disclosed))
        if machine.disclosed:
            result = await self._kept(machine.disclosed.answer(result))
        seen = machine.performed(step, result, began_ns=began_ns, ended_ns=host.wall_ns())
        if seen == CANCELLED:
            self.cancelled()
        if step.once:
            await self._flush()
        return seen

    async def call(self, name: str, argument: bytes) -> bytes:
        try:
            return await answer(self, name, argument)
        except _REFUSALS as error:
            raise _leave(error) from error

    async def write_artifact(self, name: str, data: bytes) -> bytes | None:
        try:
            self._go_on()
            await self.artifacts.write(name, data)
        except (BadCall, Refused) as error:
            return error_document(error.kind, str(error))
        return None

    async def read_artifact(self, digest: str, offset: int, size: int) -> tuple[bytes, bytes | None]:
        try:
            self._go_on()
            return await self.artifacts.read(digest, offset, size), None
        except (BadCall, Refused) as error:
            return b"", error_document(error.kind, str(error))

    def _go_on(self) -> None:
        if self.cancelled():
            raise Interrupted

    def log(self, stream: str, text: str) -> None:
        self._log(stream, self.machine.disclosed.written(stream, text))

    def tell_rest(self) -> None:
        """What was held back of the guest's text is written."""
        for stream, text in self.machine.disclosed.rest():
            self._log(stream, text)

    async def ask(self, name: str, argument: bytes, about: str | None = None) -> bytes:
        """What the control plane answers to a call by name."""
        if not name.startswith(PREFIX):
            self._needs_journal()
        step = self.machine.ask(name, argument, about)
        if not isinstance(step, Ask):
            return await self.load(step)
        await self._flush()
        answer = self.machine.disclosed.json(await self._host.ask(name, step.key, argument))
        self.machine.answered(step, await self.store(answer))
        return answer

    def tell(self, name: str, argument: bytes) -> None:
        """Says something to the control plane, once."""
        step = self.machine.ask(name, argument)
        if isinstance(step, Ask):
            self.machine.answered(step, b"")
            self._host.tell(name, argument)

    async def mail(self, topics: tuple[str, ...], duration_ns: int | None) -> Mail | None:
        """Waits for mail about one of ``topics``; None: it took too long."""
        self._needs_journal()
        wait = self.machine.await_mail(topics, duration_ns, self._host.wall_ns())
        if isinstance(wait, Took):
            return wait.mail
        if wait is None:
            self.cancelled()
            raise Interrupted
        box = self._box
        found = box.find(topics)
        if found is None:
            found = await self._wait_for_mail(topics, wait.wake_wall_ns)
            if found is None and self.cancelled():
                raise Interrupted
        if found is not None:
            box.took(found)
            found = await self._masked(found)
        self.machine.took(wait, found)
        return found

    async def _masked(self, mail: Mail) -> Mail:
        """What others send may hold a secret that the guest knows: it is not to stand in the journal."""
        disclosed = self.machine.disclosed
        if not disclosed:
            return mail
        body, failure = mail.body, mail.failure
        if body is not None:
            body = await self.store(disclosed.json(await self.load(body)))
        if failure is not None:
            failure = disclosed.failure(failure)
        return msgspec.structs.replace(mail, body=body, failure=failure)

    async def _wait_for_mail(self, topics: tuple[str, ...], wake_wall_ns: int | None) -> Mail | None:
        host, box = self._host, self._box
        # What was taken before is not to come again.
        await self._flush()
        if self._interrupts:
            return None
        patience_ns = host.wall_ns() + self._suspend_after_ns
        until_ns = patience_ns if wake_wall_ns is None else min(patience_ns, wake_wall_ns)
        box.add(await host.mail(topics, until_ns))
        found = box.find(topics)
        if found is not None or until_ns == wake_wall_ns or self._interrupts:
            return found
        wake_ms = NEVER_MS if wake_wall_ns is None else -(-wake_wall_ns // _NS_PER_MS)
        raise Leave(Suspended(wake_ms, topics))

    def continue_as_new(self, given: Payload) -> NoReturn:
        """The guest goes on as a new execution."""
        self.machine.continue_as_new(given)
        raise Leave(Continued(given))

    async def durable(self) -> None:
        """Returns when everything so far is durable."""
        self._needs_journal()
        await self._flush()

    def _needs_journal(self) -> None:
        if self._ephemeral:
            raise BadCall("needs-journal", "the job's durability is none: it has no journal to keep this in")

    def cancelled(self) -> bool:
        """Whether the guest learns now that its job is being cancelled."""
        return self.machine.cancelled(asked=self._host.cancelled())

    async def load(self, payload: Payload) -> bytes:
        """The bytes of a payload."""
        return await self._host.get_blob(payload) if isinstance(payload, BlobRef) else payload

    async def store(self, data: bytes) -> Payload:
        """``data`` as an entry and a row may hold it."""
        return await self._host.put_blob(data) if len(data) > INLINE_LIMIT else data

    async def tail(self) -> Segment | None:
        """The last entries, for the report; all earlier ones are durable on return."""
        segments = self.machine.take()
        for segment in segments[:-1]:
            self._host.post(segment)
            self._posted = True
        if self._posted:
            await self._host.flush()
        return segments[-1] if segments else None

    def _log(self, stream: str, text: str) -> None:
        now_ns = self._host.wall_ns()
        try:
            new = self.machine.log(stream, text, now_ns)
        except _REFUSALS as error:
            raise _leave(error) from error
        self._shows |= new
        self._post_if_due(now_ns)

    def _clock(self, *, wall: bool) -> int:
        now_ns = self._host.wall_ns()
        try:
            value = self.machine.clock(wall=wall, now_ns=now_ns)
        except _REFUSALS as error:
            raise _leave(error) from error
        self._post_if_due(now_ns)
        return value

    async def _sleep(self, sleep: Callable[[int, int], Wait | None], time_ns: int) -> None:
        now_ns = self._host.wall_ns()
        try:
            wait = sleep(time_ns, now_ns)
        except _REFUSALS as error:
            raise _leave(error) from error
        if wait is None or self._interrupts:
            return
        if wait.wake_wall_ns - now_ns > self._suspend_after_ns and not self._ephemeral:
            raise Leave(Suspended(-(-wait.wake_wall_ns // _NS_PER_MS)))
        self._post(now_ns)
        await self._host.wait_until(wait.wake_wall_ns)

    async def _loaded(self, request: HttpRequest, result: HttpResult) -> HttpResult:
        """The guest gets bytes, if not an artifact: its journal may hold a reference."""
        if isinstance(result, HttpResponse) and isinstance(result.body, BlobRef):
            self.artifacts.learn(result.body)
            if not (request.to_artifact and result.succeeded):
                return msgspec.structs.replace(result, body=await self._host.get_blob(result.body))
        return result

    @property
    def _interrupts(self) -> bool:
        """Whether the guest is to learn at its next call that its job is being cancelled: no wait is long."""
        return self._host.cancelled() and not self.machine.was_cancelled

    async def _kept(self, result: HttpResult) -> HttpResult:
        """The journal may hold a reference."""
        if isinstance(result, HttpResponse) and isinstance(result.body, bytes):
            return msgspec.structs.replace(result, body=await self.store(result.body))
        return result

    def _post_if_due(self, now_ns: int) -> None:
        if self.machine.unposted >= _POST_BYTES or (
            self._shows and now_ns - self._posted_ns >= _POST_AFTER_NS
        ):
            self._post(now_ns)

    def post(self) -> None:
        """All entries are on their way."""
        self._post(self._host.wall_ns())

    def _post(self, now_ns: int) -> None:
        if self._ephemeral:
            return
        for segment in self.machine.take():
            self._host.post(segment)
            self._posted = True
        self._posted_ns = now_ns
        self._shows = False

    async def _flush(self) -> None:
        self.post()
        if self._posted:
            await self._host.flush()
            self._posted = False


def _leave(error: LimitReached | NondeterminismDetected | SecretMissing) -> Leave:
    return Leave(Failed(error.failure) if isinstance(error, LimitReached) else parked(error))
