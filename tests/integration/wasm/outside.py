"""A world with others in it: children end, promises are kept, messages come."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from mvm_ci.domain.http import HttpRequest, HttpResult
from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.mail import Mail, of_child, of_message, of_promise
from mvm_ci.domain.outcome import Failure, FailureKind, Suspended
from mvm_ci.testing.execution import World, echo

S = 1_000_000_000


class Outside(World):
    """A world whose control plane starts children and opens promises that end after the seconds they say (a
    half later, so that no two things happen at once); those of an odd number of seconds fail.

    ``messages``: after how many seconds one of which type comes; it says its number. ``done``: all that was
    asked for, once.
    """

    def __init__(
        self,
        messages: Sequence[tuple[int, str]] = (),
        respond: Callable[[HttpRequest, int], HttpResult] = echo,
    ) -> None:
        super().__init__(respond)
        self.done: list[tuple[str, Any]] = []
        self._answered: dict[str, bytes] = {}
        self._numbers = 0
        for number, (after, kind) in enumerate(messages):
            self._later(after, of_message(kind), b"%d" % number, None)

    def ask(self, name: str, key: str, argument: bytes) -> bytes:
        if key not in self._answered:
            asked = json.loads(argument)
            self.done.append((name, asked))
            self._answered[key] = json.dumps(self._do(name, key, asked)).encode()
        return self._answered[key]

    def _do(self, name: str, key: str, asked: Any) -> Any:
        if name == "promise.create":
            self._end(of_promise(key), int(asked["label"]))
            return {"ok": {"promise": key, "url": "http://here/"}}
        if name != "child.start":
            return {"ok": None}
        if any("strange" in job for job in asked["jobs"]):
            return {"error": {"kind": "bad-input", "message": "strange"}}
        jobs = []
        for job in asked["jobs"]:
            child = JobId(1 + self._numbers)
            self._end(of_child(child), job["input"]["takes"])
            jobs.append(format_job_id(child))
        return {"ok": {"jobs": jobs}}

    def _end(self, topic: str, takes: int) -> None:
        failure = Failure(kind=FailureKind.ERROR, message=f"after {takes}") if takes % 2 else None
        self._later(takes, topic, b"%d" % takes, failure)

    def _later(self, seconds: int, topic: str, body: bytes, failure: Failure | None) -> None:
        self._numbers += 1
        mail = Mail(self._numbers, topic, None if failure else body, failure)
        at_ns = self.now_ns + seconds * S + S // 2 + self._numbers * 1_000_000
        self.mail.append((at_ns, mail))
        self.mail.sort(key=lambda one: one[0])

    def wake(self) -> None:
        """Time goes on until what a suspended job waits for."""
        if isinstance(self.outcome, Suspended):
            self.wait(self.outcome.topics, self.outcome.wake_ms * 1_000_000)
