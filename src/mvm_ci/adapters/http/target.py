"""One hop of a guest's request: checked, and rewritten when a redirect leads on. Pure."""

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

import msgspec

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.http import Header, HttpFailure, HttpRequest
from mvm_ci.domain.network import normalize_host
from mvm_ci.ports.http_client import FileBody

MAX_REQUEST_BODY: Final = 8 << 20
MAX_URL: Final = 16 << 10
MAX_HEADERS: Final = 128
MAX_HEADER_BYTES: Final = 64 << 10
_URL: Final = re.compile(r"[!-~]+")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")
_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# Ours to say: they describe the connection or the framing, or would let an answer come compressed.
_OURS: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te"),
        *("trailer", "transfer-encoding", "upgrade", "host", "content-length", "expect", "accept-encoding"),
    }
)
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_SECRET: Final = frozenset({"authorization", "cookie", "cookie2"})


class Failed(Exception):
    """The request ends with ``failure``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.failure = HttpFailure(kind, message)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One hop. ``host``: normalized; ``path``: with the query; ``headers``: lower-case names."""

    method: str
    url: str
    secure: bool
    host: str
    port: int
    path: str
    headers: tuple[Header, ...]
    body: bytes | FileBody

    @property
    def authority(self) -> str:
        """The ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What has to stay the same for secrets to be sent along."""
        return self.secure, self.host, self.port


def first_target(
    request: HttpRequest, idempotency_key: str, user_agent: str, body: FileBody | None = None
) -> Target:
    """The first hop of ``request``, with ``body`` instead of its own. Raises ``Failed`` if it is not one that
    may be sent.
    """
    method = request.method.upper()
    if not _TOKEN.fullmatch(method) or method in ("CONNECT", "TRACE"):
        raise Failed("refused", f"the method {request.method[:40]!r} is not allowed")
    if len(request.body) > MAX_REQUEST_BODY:
        raise Failed("too-large", f"a body of {len(request.body)} bytes; at most {MAX_REQUEST_BODY} are sent")
    headers = _checked_headers(request.headers)
    names = {name for name, _ in headers}
    if "user-agent" not in names:
        headers.append(("user-agent", user_agent))
    if "idempotency-key" not in names:
        headers.append(("idempotency-key", idempotency_key))
    return _locate(request.url, method, tuple(headers), body or request.body)


def next_target(target: Target, status: int, location: str | None) -> Target | None:
    """Where this status and ``Location`` lead; None if the answer is the final one. Raises ``Failed``."""
    if status not in _REDIRECTS or location is None:
        return None
    try:
        url = urljoin(target.url, location)
    except ValueError:
        raise Failed("protocol", "redirected to what is not a URL") from None
    method, headers = target.method, target.headers
    body = target.body
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", b""
        headers = tuple(header for header in headers if not header[0].startswith("content-"))
    following = _locate(url, method, headers, body)
    if following.origin == target.origin:
        return following
    kept = tuple(header for header in headers if header[0] not in _SECRET)
    return msgspec.structs.replace(following, headers=kept)


def end_to_end(headers: list[tuple[bytes, bytes]]) -> tuple[Header, ...]:
    """An answer's headers as the guest sees them: lower-case, without those of the connection."""
    decoded = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)
    return tuple(header for header in decoded if header[0] not in _HOP_BY_HOP)


def _locate(url: str, method: str, headers: tuple[Header, ...], body: bytes | FileBody) -> Target:
    if len(url) > MAX_URL or not _URL.fullmatch(url):
        raise Failed("protocol", "a URL is printable ASCII without blanks, percent-encoded where needed")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = normalize_host(parts.hostname or "")
    except (ValueError, BadInput):
        raise Failed("protocol", "this is not a URL with a host") from None
    if parts.scheme not in _PORTS:
        raise Failed("refused", f"only http and https are allowed, not {parts.scheme[:40]!r}")
    if "@" in parts.netloc:
        raise Failed("refused", "a user name or password in a URL is not allowed; send a header")
    if port == 0:
        raise Failed("protocol", "there is no port 0")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(
        method=method,
        url=url.partition("#")[0],
        secure=parts.scheme == "https",
        host=host,
        port=port or _PORTS[parts.scheme],
        path=path,
        headers=headers,
        body=body,
    )


def _checked_headers(headers: tuple[Header, ...]) -> list[Header]:
    if len(headers) > MAX_HEADERS or sum(len(n) + len(v) for n, v in headers) > MAX_HEADER_BYTES:
        raise Failed("too-large", f"more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes of them")
    checked = []
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Failed("protocol", f"the header {name[:80]!r} has characters that are not allowed")
        lowered = name.lower()
        if lowered not in _OURS:
            checked.append((lowered, value.strip()))
    return checked
