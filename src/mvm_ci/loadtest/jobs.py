"""Requests that submit the jobs of a profile and wait for them, and what must be in their answers."""

import random
from collections import Counter
from typing import Final
from urllib.parse import urlsplit

import msgspec

from mvm_ci.domain.errors import BadInput, ProtocolError
from mvm_ci.domain.lane import DEFAULT_QUEUE
from mvm_ci.loadtest import steps
from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.profiles import Profile
from mvm_ci.wire import api

WAIT_S: Final = api.MAX_WAIT_S
"""A job that takes longer counts as failed."""
WRONG: Final = "completed with another result than it must have"
"""Why such a job failed."""
_COMPLETED: Final = "completed"
_encode = msgspec.json.Encoder().encode
_submitted = msgspec.json.Decoder(api.Submitted)


class Work(msgspec.Struct, frozen=True):
    """``request``: all its bytes; ``results``: what each of its jobs must have as its result, in order;
    ``signs``: what must be in an answer in which all is well, and how often.
    """

    request: bytes
    results: tuple[str, ...]
    signs: tuple[tuple[bytes, int], ...]


class Checked(msgspec.Struct, frozen=True):
    """What became of the jobs of a request. ``why``: of one that failed."""

    completed: int
    failed: int = 0
    why: str = ""


class Jobs:
    """``module``: the digest of the guest, which the cluster has; ``stub``: the URL of a stub, for profiles
    that need one; ``batch``: jobs in each request. Raises ``BadInput`` if a stub is missing.
    """

    def __init__(
        self,
        channel: Channel,
        profile: Profile,
        module: str,
        *,
        batch: int = 1,
        turns_per_ms: float = 0.0,
        stub: str = "",
        queue: str = DEFAULT_QUEUE,
        seed: int = 0,
    ) -> None:
        if profile.asks and not stub:
            raise BadInput(
                f"the jobs of the profile {profile.name} send requests to a stub, and there is none"
            )
        self._channel = channel
        self._batch = batch
        self._chance = random.Random(seed)
        self._kinds: list[tuple[bytes, str]] = []
        for kind in profile.kinds:
            given = steps.guest_input(kind.steps, turns_per_ms, stub)
            hosts = (urlsplit(stub).netloc,) if steps.asks(kind.steps) else None
            job = api.SubmitJob(
                module=module, input=msgspec.Raw(_encode(given)), allow_hosts=hosts, queue=queue
            )
            self._kinds.append((_encode(job), steps.result(kind.steps, turns_per_ms)))
        self._shares = [kind.share for kind in profile.kinds]
        self._only = self._made(self._kinds * batch) if len(self._kinds) == 1 else None

    def next(self) -> Work:
        """The next request."""
        if self._only is not None:
            return self._only
        return self._made(self._chance.choices(self._kinds, self._shares, k=self._batch))

    def _made(self, chosen: list[tuple[bytes, str]]) -> Work:
        body = b'{"jobs":[%b],"wait_s":%g}' % (b",".join(job for job, _ in chosen), WAIT_S)
        request = self._channel.request("POST", "/v1/jobs", body)
        results = tuple(result for _, result in chosen)
        signs = (
            (b'"state":"completed","result":"%b"' % one.encode(), n) for one, n in Counter(results).items()
        )
        return Work(request, results, tuple(signs))


def check(work: Work, body: bytes) -> Checked:
    """Looks whether all jobs of an answer completed with the results that they must have."""
    # Mostly, all is well: no need to take the answer apart.
    if all(body.count(sign) == count for sign, count in work.signs):
        return Checked(completed=len(work.results))
    try:
        views = _submitted.decode(body).jobs
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"the API answers what this version does not understand: {error}") from None
    if len(views) != len(work.results):
        raise ProtocolError(f"the API answers {len(work.results)} jobs with {len(views)}")
    reasons = [_reason(view, result) for view, result in zip(views, work.results, strict=True)]
    wrong = [reason for reason in reasons if reason]
    return Checked(completed=len(reasons) - len(wrong), failed=len(wrong), why=wrong[0] if wrong else "")


def _reason(view: api.JobView, result: str) -> str:
    if view.state != _COMPLETED:
        if view.failure is not None:
            return f"{view.state}: {view.failure.kind}: {view.failure.message}"
        return f"did not end within {WAIT_S:g} s, and is {view.state}"
    if view.result is msgspec.UNSET or bytes(view.result) != b'"%b"' % result.encode():
        return WRONG
    return ""
