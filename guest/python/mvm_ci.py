"""What a job asks of MVM-CI beyond the standard library: ``import mvm_ci``."""

import base64
import json
import random
import time

from wit_world.imports import host


class CallError(Exception):
    """The host refused a call. ``kind``: for programs."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class Cancelled(BaseException):
    """This job is being cancelled: raised once, at its next call; what it does then has the grace that it was given."""


class Failed(Exception):
    """What was waited for did not succeed: a child failed, a promise was broken. ``kind``, ``detail``: see the failure of
    a job.
    """

    def __init__(self, kind, message, detail=""):
        super().__init__(message)
        self.kind = kind
        self.detail = detail


class Pending:
    """Something that ends some day: a child, a promise."""

    def __init__(self, topic):
        self._topic = topic
        self._mail = None

    @property
    def done(self):
        """Whether it has ended, as far as this job has waited for it."""
        return self._mail is not None

    def result(self, timeout=None):
        """Its result, when it has ended. Raises ``Failed``, and ``TimeoutError`` after ``timeout`` seconds."""
        if self._mail is None and first(self, timeout=timeout) is None:
            raise TimeoutError(f"{self._topic} has not ended within {timeout} s")
        return _contents(self._mail)


class Child(Pending):
    """A job that this one started. ``id``: its job id."""

    def __init__(self, id):
        super().__init__(f"child:{id}")
        self.id = id

    def cancel(self):
        """Asks for its end."""
        _call("child.cancel", {"job": self.id})


class Promise(Pending):
    """Something that an outside system completes: by a POST to ``url`` with ``token`` as its bearer token."""

    def __init__(self, id, url, token):
        super().__init__(f"promise:{id}")
        self.id = id
        self.url = url
        self.token = token


class Message:
    """What somebody sent to this job."""

    def __init__(self, type, body):
        self.type = type
        self.body = body


class Job:
    """This job. ``id``, ``attempt``; ``module``: the digest of its module."""

    def __init__(self, id, attempt, module):
        self.id = id
        self.attempt = attempt
        self.module = module


def install():
    """Lets a sleep that a cancellation ended raise ``Cancelled``."""
    sleep = time.sleep

    def interruptible_sleep(seconds, /):
        sleep(seconds)
        _call("job.check", {})

    time.sleep = interruptible_sleep


def job():
    """This job."""
    info = _call("job.info", {})
    return Job(info["job"], info["attempt"], info["module"])


def start(input=None, *, module=None, **options):
    """Starts a child: a job with this input, on any worker. ``module``: a name, ``name@version`` or a digest; None: this
    job's own. ``options``: those of a job in the API (``max_attempts=3``, ``queue="slow"``, ...).
    """
    return start_all([input], module=module, **options)[0]


def start_all(inputs, *, module=None, **options):
    """Starts a child for each of ``inputs``, all or none."""
    of = module if module is not None else job().module
    jobs = [{"module": of, "input": input, **options} for input in inputs]
    return [Child(id) for id in _call("child.start", {"jobs": jobs})["jobs"]]


_TOPICS = 1000  # that one wait may name


def first(*pending, timeout=None):
    """Waits until one of them has ended, and returns that one: the first that is done. None after ``timeout`` seconds."""
    for one in pending:
        if one._mail is not None:
            return one
    mail = _wait([one._topic for one in pending], timeout)
    if mail is None:
        return None
    ended = next(one for one in pending if one._topic == mail["topic"])
    ended._mail = mail
    return ended


def gather(*pending, timeout=None):
    """The results of all, in the order of the arguments, when all have ended. Raises what ``Pending.result`` raises, for the
    first that does.
    """
    until = None if timeout is None else time.monotonic() + timeout
    results = {}
    open = list(pending)
    while open:
        left = None if until is None else max(0.0, until - time.monotonic())
        ended = first(*open[:_TOPICS], timeout=left)
        if ended is None:
            raise TimeoutError(f"{len(open)} have not ended within {timeout} s")
        results[id(ended)] = _contents(ended._mail)
        open.remove(ended)
    return [results[id(one)] for one in pending]


def send(to, body=None, *, type=""):
    """Sends a message to a job that has not ended: its id, or the idempotency key it was submitted with."""
    _call("message.send", {"to": to, "type": type, "body": body})


def receive(*types, timeout=None):
    """The next message of one of ``types`` (of the type "" without any), or None after ``timeout`` seconds."""
    mail = _wait([f"message:{type}" for type in types or ("",)], timeout)
    return None if mail is None else Message(mail["topic"].removeprefix("message:"), mail.get("value"))


def promise(label=""):
    """A new promise."""
    made = _call("promise.create", {"label": label})
    return Promise(made["promise"], made["url"], made["token"])


def progress(text="", done=None, total=None):
    """Tells users how far this job is."""
    _call("job.progress", {"text": text, "done": done, "total": total})


def metadata(**values):
    """Sets keys of this job's metadata, by which it can be found; None takes one away."""
    _call("job.metadata", {"metadata": values})


def continue_as_new(input=None):
    """Ends this execution and begins a new one of this job, with another input and an empty journal. Does not return."""
    _call("job.continue", {"input": input})


def memo(name, function, *arguments, **named):
    """What ``function(*arguments, **named)`` returned when it was called under ``name`` first.

    The value, anything that JSON can hold, is recorded: after a crash it is not computed again, and what the function
    asked of the outside meanwhile is passed by. Returned is what JSON makes of it (a tuple becomes a list), the first
    time, too. One name may be used again and again: each time counts for itself.

    What the function changes is not recorded, only what it returns. The module ``random`` is freshly seeded for it, and
    goes on afterwards as if it had not been used.
    """
    found = _call("memo.get", {"name": name})
    if found is not None:
        return found["value"]
    state = random.getstate()
    try:
        random.seed()
        value = json.loads(json.dumps(function(*arguments, **named), allow_nan=False))
    except BaseException:
        _call("memo.drop", {"name": name})
        raise
    finally:
        random.setstate(state)
    _call("memo.put", {"name": name, "value": value})
    return value


def secret(name):
    """The value of a secret that the job names (``secrets`` in its header) and that an operator lets it read.

    Wherever it stands in what the job prints or returns, in its errors, and in answers to its requests, it is masked.
    """
    return _call("secret.get", {"name": name})


def _call(name, argument):
    answer = json.loads(host.call(name, json.dumps(argument, allow_nan=False)))
    if "error" in answer:
        if answer["error"]["kind"] == "cancelled":
            raise Cancelled(answer["error"]["message"])
        raise CallError(answer["error"]["kind"], answer["error"]["message"])
    return answer["ok"]


def _wait(topics, timeout):
    return _call("wait", {"topics": topics, "timeout_s": timeout})


def _contents(mail):
    if "failure" in mail:
        failure = mail["failure"]
        raise Failed(failure["kind"], failure["message"], failure.get("detail", ""))
    return base64.b64decode(mail["base64"]) if "base64" in mail else mail.get("value")
