"""Lets ``urllib.request`` work in a guest: requests leave through the host, which journals them.

Only the lowest layer of the standard library is replaced, the handler that would open a socket; ``Request``, openers,
``HTTPError`` and ``URLError`` are the standard ones. Redirects were followed by the host already.

A request is taken to be repeatable after a crash if its method is GET or HEAD. Say otherwise with an attribute::

    request = urllib.request.Request(url, data=body, method="PUT")
    request.idempotent = True

Two more attributes keep a large body out of the guest: ``request.to_artifact = "name"`` makes the answer's body an
artifact of the job, if the status is 2xx (``response.artifact``), and ``request.from_artifact = artifact`` sends one.
"""

import base64
import http.client
import io
import socket
import urllib.error
import urllib.request
import urllib.response

from mvm_ci.artifacts import Artifact
from mvm_ci.calls import exchange

_DEFAULT_TIMEOUT_S = 30.0


def install():
    """Makes every opener that is built from now on use the host."""
    urllib.request.HTTPHandler = HostHandler
    urllib.request.FTPHandler = NoFtp
    urllib.request._opener = None


class Response(urllib.response.addinfourl):
    """The answer, read from memory; has what users of ``http.client.HTTPResponse`` expect."""

    version = 11

    def __init__(self, body, headers, url, status, artifact=None):
        super().__init__(io.BytesIO(body), headers, url, status)
        self.artifact = artifact
        self.reason = self.msg = http.client.responses.get(status, "")

    def getheader(self, name, default=None):
        values = self.headers.get_all(name)
        return ", ".join(values) if values else default

    def getheaders(self):
        return list(self.headers.items())

    def isclosed(self):
        return self.closed


class HostHandler(urllib.request.AbstractHTTPHandler):
    """Opens ``http`` and ``https`` through the host."""

    def http_open(self, request):
        return _perform(request)

    def https_open(self, request):
        return _perform(request)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_


class NoFtp(urllib.request.BaseHandler):
    """The host speaks HTTP only."""

    def ftp_open(self, request):
        raise urllib.error.URLError("unknown url type: ftp")


def _perform(request):
    headers = {**request.unredirected_hdrs}
    headers.update((name, value) for name, value in request.headers.items() if name not in headers)
    pairs = [(name, str(value)) for name, value in headers.items() if name.lower() not in ("host", "connection")]
    url = request.full_url.partition("#")[0]
    idempotent, to_artifact = getattr(request, "idempotent", None), getattr(request, "to_artifact", "")
    body = getattr(request, "from_artifact", None)
    if body is None:
        body = _body(request.data)
    elif request.data is not None:
        raise TypeError("a request's body is its data or an artifact, not both")
    timeout_s = _timeout_s(request.timeout)
    answer = exchange(request.get_method(), url, pairs, body, timeout_s, idempotent, to_artifact)
    if "error" in answer:
        raise urllib.error.URLError(_reason(**answer["error"]))
    got = answer["ok"]
    message = http.client.HTTPMessage()
    for name, value in got["headers"]:
        message[name] = value
    kept = got.get("artifact")
    artifact = None if kept is None else Artifact(kept["digest"], kept["size"], to_artifact)
    return Response(base64.b64decode(got["body"]), message, got["url"], got["status"], artifact)


def _timeout_s(timeout):
    if timeout is None or timeout is socket._GLOBAL_DEFAULT_TIMEOUT:
        return socket.getdefaulttimeout() or _DEFAULT_TIMEOUT_S
    return timeout


def _body(data):
    """``data`` as bytes: a body may also be a file or an iterable of bytes."""
    if data is None:
        return b""
    if hasattr(data, "read"):
        return data.read()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    return b"".join(data)


_ERRORS = {
    "timeout": TimeoutError,
    "dns": socket.gaierror,
    "connect": ConnectionError,
    "refused": PermissionError,
    "interrupted": InterruptedError,
}


def _reason(kind, message):
    return _ERRORS.get(kind, OSError)(message)
