"""Mail: what comes to a job from others while it runs, kept until it takes it."""

from typing import Final

import msgspec

from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.domain.payload import Payload

CANCELLATION: Final = ("cancel",)
"""What a job awaits that is pending to clean up."""
NEVER_MS: Final = 253_402_300_799_000
"""When a wait without a time-out is over (Unix milliseconds): at the end of the year 9999."""
WAIT_FOR_MAIL: Final = "mail.wait"
"""What an engine asks the control plane for, answered by mail (``decode_mail``) as soon as there is any."""
MAX_TYPE: Final = 100
"""Characters of a message's type, all printable."""
MAX_TOPICS: Final = 1_000
"""Topics that one wait may name."""
_MAX_TOPIC: Final = MAX_TYPE + len("message:")
_DIGITS: Final = 19


class Mail(msgspec.Struct, frozen=True, array_like=True):
    """One piece. ``number``: grows with the order of arrival; ``topic``: what it is about, see below.

    ``body``: a JSON document (of a child's result: what its guest returned); ``failure``: why a child failed,
    or what a promise was broken with.
    """

    number: int
    topic: str
    body: Payload | None = None
    failure: Failure | None = None


class MailWait(msgspec.Struct, frozen=True, array_like=True):
    """An execution waits for mail about one of ``topics``; ``at_once``: it takes none for an answer."""

    topics: tuple[str, ...]
    at_once: bool = False


encode_wait: Final = msgspec.msgpack.Encoder().encode
decode_wait: Final = msgspec.msgpack.Decoder(MailWait).decode
encode_mail: Final = msgspec.msgpack.Encoder().encode
decode_mail: Final = msgspec.msgpack.Decoder(tuple[Mail, ...]).decode


def child_mail(number: int, topic: str, state: str, result: Payload | None, failure: Failure | None) -> Mail:
    """What a parent gets of a child that ended in ``state``."""
    if state == "completed":
        return Mail(number, topic, result)
    if failure is None:
        failure = Failure(kind=FailureKind.CHILD, message=f"the child is {state}")
    return Mail(number, topic, None, failure)


def are_topics(topics: tuple[str, ...]) -> bool:
    """Whether an engine of ours may name these in one wait."""
    return len(topics) <= MAX_TOPICS and all(len(topic) <= _MAX_TOPIC for topic in topics)


def is_type(text: str) -> bool:
    """Whether messages may be of this type."""
    return len(text) <= MAX_TYPE and text.isprintable()


def of_child(job: JobId) -> str:
    """The topic of a child's end; the schema says the same."""
    return f"child:{job}"


def shown_topic(topic: str) -> str:
    """A topic as users see it."""
    kind, _, about = topic.partition(":")
    # A hostile worker's journal may say anything.
    if kind != "child" or not about.isdecimal() or len(about) > _DIGITS:
        return topic
    return f"child:{format_job_id(int(about))}"


def of_message(kind: str) -> str:
    """The topic of messages of a type."""
    return f"message:{kind}"


def of_promise(name: str) -> str:
    """The topic of a promise's completion."""
    return f"promise:{name}"
