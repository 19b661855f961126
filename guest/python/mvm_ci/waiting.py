"""Waiting: for children, promises and messages, one of them or all.

What comes about a *topic* is taken by whichever wait is for it, and kept here until somebody asks for it.
"""

import base64
import itertools
import time
import weakref
from collections import deque

from mvm_ci.calls import call

AT_ONCE = 1_000
"""Topics that one wait names at most."""
_LONGEST_S = 10 * 365 * 86_400.0
_topics = weakref.WeakValueDictionary()


class Failed(Exception):
    """What was waited for did not succeed: a child failed or was cancelled, a promise was broken.

    ``kind``, ``message``, ``detail``: those of the job's failure (of a promise: "promise", and what it was broken with);
    ``of``: the child or the promise.
    """

    def __init__(self, kind, message, detail, of):
        super().__init__(f"{of!r}: {message}")
        self.kind = kind
        self.message = message
        self.detail = detail
        self.of = of


class Topic:
    """``mail``: what came about it and is not taken, oldest first."""

    __slots__ = ("__weakref__", "mail", "name")

    def __init__(self, name):
        self.name = name
        self.mail = deque()


def topic(name):
    """The one topic of this name."""
    found = _topics.get(name)
    if found is None:
        found = _topics[name] = Topic(name)
    return found


def arrived(topics, timeout):
    """Waits until there is mail about one of ``topics``, ``timeout`` seconds at most (None: as long as it takes); whether
    there is any.
    """
    if any(one.mail for one in topics):
        return True
    names = {one.name: one for one in topics}
    mail = call("wait", {"topics": list(names), "timeout_s": None if timeout is None else min(timeout, _LONGEST_S)})
    if mail is None:
        return False
    names[mail["topic"]].mail.append(mail)
    return True


async def arrival(topics):
    """The same in an event loop, as long as it takes."""
    import asyncio

    await asyncio.get_running_loop().arrival(topics)


def contents(mail):
    """What a piece of mail brings: any JSON value, or the bytes that a child in another language returned."""
    return base64.b64decode(mail["base64"]) if "base64" in mail else mail.get("value")


class Waitable:
    """Something to wait for: a ``Child``, a ``Promise``, ``Messages``."""

    def __init__(self, *names):
        self._topics = tuple(topic(name) for name in names)

    def _here(self):
        return any(one.mail for one in self._topics)


class Pending(Waitable):
    """Something that ends once: a child, a promise. ``await`` it, or ask for its ``result``."""

    @property
    def done(self):
        """Whether it has ended, as far as this job has waited for it."""
        return self._here()

    def result(self, timeout=None):
        """Its result, when it has ended. Raises ``Failed``, and ``TimeoutError`` after ``timeout`` seconds."""
        if not arrived(self._topics, timeout):
            raise TimeoutError(f"{self!r} has not ended within {timeout} s")
        return self._ended()

    def __await__(self):
        return self._arrival().__await__()

    async def _arrival(self):
        await arrival(self._topics)
        return self._ended()

    def _ended(self):
        mail = self._topics[0].mail[0]
        if "failure" in mail:
            failure = mail["failure"]
            raise Failed(failure["kind"], failure["message"], failure.get("detail", ""), self)
        return contents(mail)


def first(*waitables, timeout=None):
    """Waits until one of these has ended, or has a message; returns that one. None after ``timeout`` seconds.

    What has ended before is returned at once, so hand in what you still wait for. At most 1,000.
    """
    if not waitables:
        raise ValueError("first() of nothing would wait for ever")
    topics = dict.fromkeys(one for waitable in waitables for one in waitable._topics)
    if not arrived(topics, timeout):
        return None
    return next(waitable for waitable in waitables if waitable._here())


def as_completed(*pending, timeout=None):
    """These, one by one, as they end. Raises ``TimeoutError`` when ``timeout`` seconds are over and some have not."""
    until = None if timeout is None else time.monotonic() + timeout
    left = dict.fromkeys(pending)
    while left:
        seconds = None if until is None else max(0.0, until - time.monotonic())
        # One wait names no more; the others have their turn.
        ended = first(*itertools.islice(left, AT_ONCE), timeout=seconds)
        if ended is None:
            raise TimeoutError(f"{len(left)} of {len(pending)} have not ended within {timeout} s")
        del left[ended]
        yield ended


def gather(*pending, timeout=None, return_exceptions=False):
    """The results of all, in the order of the arguments, when all have ended.

    Raises ``Failed`` as soon as one fails, and ``TimeoutError``. The others go on: wait for them again, or ``cancel`` them.
    (A job that ends by an error takes its children with it.) ``return_exceptions``: waits for all, and returns each
    ``Failed`` in the place of a result.
    """
    for ended in as_completed(*pending, timeout=timeout):
        if not return_exceptions:
            ended.result()
    return [_outcome(one) for one in pending]


def _outcome(ended):
    try:
        return ended.result()
    except Failed as error:
        return error
