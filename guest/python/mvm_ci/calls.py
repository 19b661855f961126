"""The way of every function of this package to the host: calls by name, and requests."""

import base64
import json
import time

from wit_world.imports import host


class Cancelled(BaseException):
    """This job is being cancelled: raised once, at its next call; what it does then has the grace that it was given."""


class CallError(Exception):
    """The host, or the control plane, did not do what it was asked for. ``kind``: for programs, see guest/abi/calls.md."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def install():
    """Lets a sleep that a cancellation ended raise ``Cancelled``."""
    sleep = time.sleep

    def interruptible_sleep(seconds, /):
        sleep(seconds)
        call("job.check", {})

    time.sleep = interruptible_sleep


def call(name, argument):
    """What the host answers. Raises ``CallError`` and ``Cancelled``."""
    answer = _read(host.call(name, json.dumps(argument, allow_nan=False)))
    if "error" in answer:
        raise CallError(answer["error"]["kind"], answer["error"]["message"])
    return answer["ok"]


def exchange(method, url, headers, body, timeout_s, idempotent, to_artifact=""):
    """What the host answers to a request (``headers``: pairs), a document of guest/abi/core.md. Raises ``Cancelled``.

    ``body``: bytes, or an ``Artifact``. ``to_artifact``: the name of the artifact that the answer's body becomes.
    """
    document = {
        "method": method,
        "url": url,
        "headers": headers,
        "timeout_ms": max(1, round(timeout_s * 1000)),
        "idempotent": idempotent,
        "to_artifact": to_artifact,
    }
    if isinstance(body, bytes):
        document["body"] = base64.b64encode(body).decode()
    else:
        document["from_artifact"] = {"digest": body.digest, "size": body.size}
    return _read(host.http(json.dumps(document)))


def _read(text):
    answer = json.loads(text)
    if "error" in answer and answer["error"]["kind"] == "cancelled":
        raise Cancelled(answer["error"]["message"])
    return answer
