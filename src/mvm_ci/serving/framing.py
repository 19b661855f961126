"""The bytes around requests and answers that do not depend on the state of a connection."""

from http import HTTPStatus
from typing import Final

import httptools

from mvm_ci.serving.limits import MAX_HEAD

STATUS: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
TOO_LONG: Final = f"a request's line and headers have at most {MAX_HEAD} bytes"


class Unfit(Exception):
    """What the parser took for a part of a request is none for this server. ``status``: what it answers."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def fault(error: httptools.HttpParserError) -> tuple[int, str]:
    """Status and detail of what the parser, or a check of ours that it called, found wrong. Raises
    ``error`` if it is not the caller's.
    """
    if not isinstance(error, httptools.HttpParserCallbackError):
        return 400, f"this is no HTTP request: {error}"
    reason = error.__context__
    if not isinstance(reason, Unfit):
        raise error
    return reason.status, str(reason)


def head(status: int, media: bytes, length: int) -> list[bytes]:
    """How the head of a whole answer begins."""
    return [STATUS[status], b"content-type: ", media, b"\r\ncontent-length: %d\r\n" % length]


def stream_head(status: int, media: bytes, length: int | None, *, chunked: bool) -> list[bytes]:
    """How the head of an answer in pieces begins. ``length``: of all of them, if it is known."""
    lines = [STATUS[status], b"content-type: ", media, b"\r\ncache-control: no-store\r\n"]
    if chunked:
        lines.append(b"transfer-encoding: chunked\r\n")
    if length is not None:
        lines.append(b"content-length: %d\r\n" % length)
    return lines


def refusal(status: int, media: bytes, body: bytes, date: bytes) -> bytes:
    """An answer that ends the connection."""
    lines = head(status, media, len(body))
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append(b"retry-after: 1\r\n")
    lines += (b"connection: close\r\n", date, b"\r\n", body)
    return b"".join(lines)


def target(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target, in whichever form it came. Raises ``Unfit``."""
    if not url.startswith(b"/"):
        try:
            parsed = httptools.parse_url(url)
        except httptools.HttpParserInvalidURLError:
            raise Unfit(400, "the request's target is no path and no URL") from None
        return parsed.path or b"/", parsed.query or b""
    path, _, query = url.partition(b"?")
    return path, query


def check(headers: dict[bytes, bytes]) -> None:
    """Raises ``Unfit`` for headers that two servers could understand in two ways."""
    if b"transfer-encoding" in headers and headers[b"transfer-encoding"].lower() != b"chunked":
        raise Unfit(400, "transfer-encoding: only chunked is known here")
    if b"," in headers.get(b"host", b""):
        raise Unfit(400, "a request has one host")
