"""Requests, recorded like every effect of a job: ``mvm_ci.http.get(url).raise_for_status().json()``.

A request that must not be repeated is sent once, whatever happens to the worker: if nobody can know whether it arrived, it
raises ``Interrupted``. GET and HEAD may be repeated after a crash, all else only if it is declared: ``idempotent=True``, or
an ``idempotency_key`` of your own. Such a request bears a key, the same one however often it is sent, by which a server
tells a repetition from a second request.
"""

import base64
import email.utils
import json as json_module
import os
import random
import time
import urllib.parse
from email.message import Message

from mvm_ci.artifacts import Artifact
from mvm_ci.calls import exchange

_TIMEOUT_S = 30.0
_LONGEST_RETRY_AFTER_S = 86_400.0
# Nothing was sent, or the server says that it did nothing: also what must not be repeated may be tried again.
_UNSENT = frozenset({"dns", "connect"})
_UNDONE = frozenset({429})
_REPEATABLE = frozenset({"GET", "HEAD"})
_chance = random.SystemRandom()


class HttpError(Exception):
    """A request did not bring what it should. ``method``, ``url``: the request's."""

    def __init__(self, message, method, url):
        super().__init__(message)
        self.method = method
        self.url = url


class RequestError(HttpError):
    """There is no answer. ``kind``: refused, dns, connect, timeout, protocol, too-large, interrupted or not-kept."""

    def __init__(self, kind, message, method, url):
        super().__init__(f"{method} {_shown(url)}: {message}", method, url)
        self.kind = kind


class Timeout(RequestError, TimeoutError):
    """No complete answer came in time. The server may have done what it was asked for."""


class Interrupted(RequestError, InterruptedError):
    """The worker was lost while a request was under way that must not be repeated: nobody knows whether it arrived."""


class StatusError(HttpError):
    """The server answered with an error, 400 and above. ``response``: its answer."""

    def __init__(self, response):
        said = f"{response.method} {_shown(response.url)}: {response.status_code}"
        super().__init__(said, response.method, response.url)
        self.response = response


class Headers:
    """An answer's headers. Names are compared without regard to case; several of one name are joined by commas."""

    def __init__(self, pairs):
        self._pairs = [(name, value) for name, value in pairs]

    def get_all(self, name):
        """The values of all headers of this name."""
        return [value for found, value in self._pairs if found.lower() == name.lower()]

    def get(self, name, default=None):
        """The value of a header."""
        values = self.get_all(name)
        return ", ".join(values) if values else default

    def __getitem__(self, name):
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name):
        return bool(self.get_all(name))

    def __iter__(self):
        return iter(dict.fromkeys(name for name, _ in self._pairs))

    def __len__(self):
        return len(list(iter(self)))

    def items(self):
        """Names with their values."""
        return [(name, self[name]) for name in self]

    def __repr__(self):
        return f"Headers({dict(self.items())!r})"


class Response:
    """An answer, whatever its status. ``content``: bytes; ``url``: where it came from, redirects followed; ``artifact``: what
    its content became instead, or None.
    """

    def __init__(self, method, url, status_code, headers, content, artifact=None):
        self.method = method
        self.url = url
        self.status_code = status_code
        self.headers = Headers(headers)
        self.content = content
        self.artifact = artifact

    @property
    def ok(self):
        """Whether the status is no error."""
        return self.status_code < 400

    @property
    def text(self):
        """The content as text, in the charset that the server names, else UTF-8."""
        declared = Message()
        declared["content-type"] = self.headers.get("content-type", "")
        try:
            return self.content.decode(declared.get_content_charset("utf-8"), "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self):
        """The content, JSON. Raises ``ValueError``."""
        return json_module.loads(self.content)

    def raise_for_status(self):
        """This answer, unless its status is an error. Raises ``StatusError``."""
        if not self.ok:
            raise StatusError(self)
        return self

    def __repr__(self):
        return f"<Response {self.status_code}>"


class Retry:
    """Tries again what failed: ``attempts`` in all.

    The pause after the n-th is ``first_s`` x ``factor``^(n-1), at most ``longest_s``, of which up to a half is chance; one
    that the server asks for (``Retry-After``, up to a day) is kept. ``statuses``, ``errors``: after which.

    A request that must not be repeated is tried again only if it cannot have been carried out: after the errors ``dns`` and
    ``connect``, and the status 429.
    """

    def __init__(
        self,
        attempts=3,
        *,
        first_s=1.0,
        factor=2.0,
        longest_s=60.0,
        statuses=(408, 429, 500, 502, 503, 504),
        errors=("dns", "connect", "timeout", "protocol"),
    ):
        if attempts < 1:
            raise ValueError(f"attempts: {attempts}; there must be 1 at least")
        self.attempts = attempts
        self.first_s = first_s
        self.factor = factor
        self.longest_s = longest_s
        self.statuses = frozenset(statuses)
        self.errors = frozenset(errors)

    def _applies(self, outcome, repeatable):
        if isinstance(outcome, RequestError):
            return outcome.kind in self.errors and (repeatable or outcome.kind in _UNSENT)
        return outcome.status_code in self.statuses and (repeatable or outcome.status_code in _UNDONE)

    def _pause_s(self, number, outcome):
        pause = min(self.first_s * self.factor ** (number - 1), self.longest_s) * _chance.uniform(0.5, 1.0)
        asked = _retry_after_s(outcome) if isinstance(outcome, Response) else 0.0
        return max(pause, min(asked, _LONGEST_RETRY_AFTER_S))


def request(
    method,
    url,
    *,
    params=None,
    headers=None,
    json=None,
    data=None,
    timeout=_TIMEOUT_S,
    idempotent=None,
    idempotency_key=None,
    idempotency_header="Idempotency-Key",
    retry=None,
    to_artifact="",
):
    """Sends a request and returns the ``Response``, whatever its status. Raises ``RequestError`` if there is none.

    ``params``: added to the URL's query (those that are None are not). ``json``: any JSON value; ``data``: a body (bytes, text
    as UTF-8, or an ``Artifact``, which does not pass through the job's memory) or a form's fields. ``to_artifact``: a name, of
    the artifact of this job that the answer's content becomes if the status is 2xx. ``timeout``: seconds, of each attempt. ``idempotent``: whether it may be repeated, see
    the module's words. ``retry``: a ``Retry``; None: it is tried once.
    """
    method = method.upper()
    url = _with_params(url, params)
    sent = {name.lower(): (name, str(value)) for name, value in (headers or {}).items()}
    body, kind = _body(json, data)
    if kind is not None:
        sent.setdefault("content-type", ("Content-Type", kind))
    if idempotency_key is not None:
        if idempotent is False:
            raise ValueError("a request with an idempotency_key is one that may be repeated: not idempotent=False")
        idempotent = True
    if idempotent and idempotency_header.lower() not in sent:
        # Of the host's randomness: the same at every replay, and no other job's, however it seeds the module random.
        key = idempotency_key if idempotency_key is not None else os.urandom(16).hex()
        sent[idempotency_header.lower()] = (idempotency_header, str(key))
    repeatable = method in _REPEATABLE if idempotent is None else idempotent
    attempts = retry.attempts if retry is not None else 1
    for number in range(1, attempts + 1):
        outcome = _attempt(method, url, list(sent.values()), body, timeout, idempotent, to_artifact)
        if number == attempts or not retry._applies(outcome, repeatable):
            break
        time.sleep(retry._pause_s(number, outcome))
    if isinstance(outcome, RequestError):
        raise outcome
    return outcome


def get(url, **options):
    """``request("GET", ...)``."""
    return request("GET", url, **options)


def post(url, **options):
    """``request("POST", ...)``."""
    return request("POST", url, **options)


def put(url, **options):
    """``request("PUT", ...)``."""
    return request("PUT", url, **options)


def delete(url, **options):
    """``request("DELETE", ...)``."""
    return request("DELETE", url, **options)


def _attempt(method, url, headers, body, timeout, idempotent, to_artifact):
    answer = exchange(method, url, headers, body, timeout, idempotent, to_artifact)
    if "error" in answer:
        kind, message = answer["error"]["kind"], answer["error"]["message"]
        return {"timeout": Timeout, "interrupted": Interrupted}.get(kind, RequestError)(kind, message, method, url)
    got = answer["ok"]
    kept = got.get("artifact")
    artifact = None if kept is None else Artifact(kept["digest"], kept["size"], to_artifact)
    return Response(method, got["url"], got["status"], got["headers"], base64.b64decode(got["body"]), artifact)


def _with_params(url, params):
    url = urllib.parse.quote(url.partition("#")[0], safe="!$%&'()*+,/:;=?@[]~")
    given = params.items() if hasattr(params, "items") else params or ()
    pairs = [(name, value) for name, value in given if value is not None]
    if not pairs:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urllib.parse.urlencode(pairs, doseq=True)}"


def _body(json, data):
    """The body and its type, if it has one."""
    if json is not None:
        if data is not None:
            raise ValueError("json and data are two bodies; give one")
        return json_module.dumps(json, allow_nan=False).encode(), "application/json"
    if data is None:
        return b"", None
    if isinstance(data, Artifact):
        return data, None
    if isinstance(data, str):
        return data.encode(), None
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data), None
    return urllib.parse.urlencode(data, doseq=True).encode(), "application/x-www-form-urlencoded"


def _retry_after_s(response):
    """What the server asks for, in seconds; 0: nothing that can be read."""
    text = response.headers.get("retry-after", "")
    if text.isdigit():
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, at.timestamp() - time.time())


def _shown(url):
    """Without the query, which may hold a secret."""
    return url.partition("?")[0]
