"""Messages, which anybody who may submit jobs sends to a job, and promises, which somebody outside keeps."""

from mvm_ci.calls import call
from mvm_ci.waiting import Pending, Waitable, arrival, arrived, contents, topic

# Types are few, and what came for one must outlive whoever waited for it.
_of_types = {}


class Message:
    """What somebody sent to this job."""

    def __init__(self, type, body):
        self.type = type
        self.body = body

    def __repr__(self):
        return f"Message({self.type!r}, {self.body!r})"


class Messages(Waitable):
    """The messages of some types, in the order of their arrival. Can be iterated, without end: ``for`` or ``async for``."""

    def __init__(self, *types):
        for type in types:
            _of_types.setdefault(type, topic(f"message:{type}"))
        super().__init__(*(f"message:{type}" for type in types))

    def receive(self, timeout=None):
        """The next one, or None after ``timeout`` seconds."""
        return self._next() if arrived(self._topics, timeout) else None

    async def receive_async(self):
        """The next one."""
        await arrival(self._topics)
        return self._next()

    def __iter__(self):
        return self

    def __next__(self):
        return self.receive()

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await self.receive_async()

    def _next(self):
        about = next(one for one in self._topics if one.mail)
        return Message(about.name.partition(":")[2], contents(about.mail.popleft()))


class Promise(Pending):
    """Something that an outside system completes: by a POST to ``url`` with ``token`` as its bearer token."""

    def __init__(self, id, url, token):
        super().__init__(f"promise:{id}")
        self.id = id
        self.url = url
        self.token = token

    def __repr__(self):
        return f"promise {self.id}"


def send(to, body=None, *, type=""):
    """Sends a message to a job that has not ended: its id, or the idempotency key it was submitted with."""
    call("message.send", {"to": to, "type": type, "body": body})


def messages(*types):
    """The messages of these types (without any: of the type "")."""
    return Messages(*(types or ("",)))


def receive(*types, timeout=None):
    """The next message of one of ``types`` (without any: of the type ""), or None after ``timeout`` seconds."""
    return messages(*types).receive(timeout)


async def receive_async(*types):
    """The same in ``async`` code; for a time-out there is ``asyncio.timeout``."""
    return await messages(*types).receive_async()


def promise(label=""):
    """A new promise. ``label``: for people."""
    made = call("promise.create", {"label": label})
    return Promise(made["promise"], made["url"], made["token"])
