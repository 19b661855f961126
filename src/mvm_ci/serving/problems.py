"""Errors as problem documents (RFC 9457)."""

from http import HTTPStatus
from typing import Final

import msgspec

from mvm_ci.domain import errors as e
from mvm_ci.wire.api import Problem

PROBLEM: Final = b"application/problem+json"
TITLES: Final = {
    "bad-input": "The request cannot be carried out as it is",
    "bad-module": "The bytes are no module that can run here",
    "too-large": "Something is over its limit",
    "not-found": "There is no such thing",
    "refused": "Not allowed",
    "conflict": "The present state forbids it",
    "illegal-transition": "The job's state has no such transition",
    "stale-epoch": "The placement is over",
    "unavailable": "Not now",
    "queue-full": "The queue takes no more",
    "quota-exceeded": "The namespace is over its quota",
    "disk-full": "The disk has no room for more",
    "key-reused": "The idempotency key stands for another request",
    "version-taken": "The version stands for another module",
    "corrupt-journal": "Stored journal entries cannot be read",
    "error": "The server failed",
}
"""Every code that the API answers with."""
_STATUS: Final[tuple[tuple[type[e.MvmCiError], int], ...]] = (
    (e.BadModule, 422),
    (e.TooLarge, 413),
    (e.BadInput, 400),
    (e.NotFound, 404),
    (e.Refused, 403),
    (e.Conflict, 409),
    (e.QueueFull, 429),
    (e.QuotaExceeded, 429),
    (e.DiskFull, 429),
    (e.Unavailable, 503),
)


class HttpError(Exception):
    """An answer that is decided by HTTP alone: no such route, method or media type; no token."""

    def __init__(
        self, status: int, code: str, detail: str, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.headers = headers


def status_of(error: e.MvmCiError) -> int:
    """The HTTP status of an error; 500 for what no caller can cause."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def headers_of(error: e.MvmCiError) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that an error brings along: when to come back."""
    if isinstance(error, e.QueueFull | e.QuotaExceeded | e.DiskFull):
        return ((b"retry-after", b"%d" % error.retry_after_s),)
    return ()


def problem(status: int, code: str, detail: str) -> bytes:
    """The document, as JSON."""
    title = TITLES.get(code, HTTPStatus(status).phrase)
    return msgspec.json.encode(
        Problem(type=f"urn:mvm-ci:error:{code}", title=title, status=status, code=code, detail=detail)
    )
