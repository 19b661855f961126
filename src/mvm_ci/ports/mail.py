"""Mail, promises, and what users see of a running job: what passes between jobs, and between them and others.

As with ``ports.job_queue``, with which it shares the jobs: a call takes effect when it is made, in the order
of the calls of both, and returns when its effect is durable; errors of the store are ``Unavailable``. However
a child ends, mail about it (``domain.mail.of_child``) is there for its parent at the same moment, once,
unless that has ended for good: a dead one may go on. A job that is suspended for mail of a topic is pending
from the moment at which there is some. Mail that a journal's segment takes (``Segment.taken``) waits no more
from the moment at which that is durable.
"""

from collections.abc import Awaitable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.mail import Mail
from mvm_ci.domain.options import Parent
from mvm_ci.domain.outcome import Failure
from mvm_ci.domain.payload import Payload
from mvm_ci.domain.shown import Progress

MAX_WAITING: Final = 10_000
"""Pieces of mail that may wait for one job before what others send is refused. Ends of its children, and
promises that are kept, always come in.
"""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent to ``job``. ``key``: sent again with the same one and topic, it is there once."""

    job: JobId
    topic: str
    key: str
    at_ms: int
    body: Payload | None = None
    failure: Failure | None = None


class Sent(StrEnum):
    """What became of a letter."""

    DONE = "done"  # it is there, now or since before
    OVER = "over"  # there is no such job, or it has ended
    FULL = "full"  # too much waits for it


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """``job`` waits for somebody outside, who has a token of which ``digest`` (SHA-256, hex) is kept."""

    id: str
    job: JobId
    label: str
    digest: str
    created_ms: int
    completed_ms: int | None = None


class MailStore(Protocol):
    """See the module's docstring."""

    def send(self, letter: Letter) -> Awaitable[Sent]:
        """Puts a letter into a job's box, and wakes the job if it is suspended for it."""
        ...

    def mail(self, job: JobId, topics: Sequence[str], limit: int) -> Awaitable[list[Mail]]:
        """The first ``limit`` pieces about ``topics`` that wait for a job, in the order of their arrival."""
        ...

    def open_promise(self, promise: Promise) -> Awaitable[None]:
        """Keeps a promise; one of this id that is there stays as it is."""
        ...

    def promise(self, id_: str) -> Awaitable[Promise | None]:
        """A promise."""
        ...

    def complete_promise(self, id_: str, letter: Letter) -> Awaitable[bool]:
        """The promise is completed, once, and ``letter`` tells its job; False: it was before, or its job
        has ended.
        """
        ...

    def children(self, parents: Sequence[JobId]) -> Awaitable[dict[JobId, list[JobId]]]:
        """The children of jobs that have not ended."""
        ...

    def parents(self) -> Awaitable[dict[JobId, Parent]]:
        """The parent of every child that has not ended."""
        ...

    def progress(self, placed: Placed, progress: Progress) -> Awaitable[None]:
        """What the guest of a placement that is not over says of its progress."""
        ...

    def annotate(self, job: JobId, metadata: Mapping[str, str | None]) -> Awaitable[None]:
        """Sets these keys of a job's metadata; None takes one away."""
        ...
