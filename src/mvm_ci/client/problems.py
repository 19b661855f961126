"""Errors of the API and of the network as the errors of ``mvm_ci.domain.errors``."""

import httpx
import msgspec

from mvm_ci.domain import errors
from mvm_ci.wire.api import Problem

_BY_CODE: dict[str, type[errors.MvmCiError]] = {
    kind.code: kind
    for kind in (
        errors.BadInput,
        errors.BadModule,
        errors.TooLarge,
        errors.NotFound,
        errors.Refused,
        errors.Conflict,
        errors.KeyReused,
        errors.VersionTaken,
        errors.StaleEpoch,
        errors.Unavailable,
        errors.QueueFull,
        errors.QuotaExceeded,
        errors.DiskFull,
        errors.ProtocolError,
        errors.CorruptJournal,
        errors.Misconfigured,
    )
}
_BY_STATUS: dict[int, type[errors.MvmCiError]] = {
    400: errors.BadInput,
    401: errors.Refused,
    403: errors.Refused,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.TooLarge,
    422: errors.BadInput,
    429: errors.Unavailable,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}


def error_of(answer: httpx.Response, body: bytes, url: str) -> errors.MvmCiError:
    """The error that an answer with a status of 400 or more means. ``url``: who answered, for the message."""
    status = answer.status_code
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # A proxy on the way, or no control plane at all.
        kind = _BY_STATUS.get(status, errors.ProtocolError)
        return kind(f"{url} answered with status {status} and no explanation; is a control plane there?")
    kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(status, errors.MvmCiError)
    detail = problem.detail or problem.title
    # A wrong token is often the token of another control plane: say which one this is.
    error = kind(f"{url}: {detail}" if status == 401 else detail)
    retry_after = answer.headers.get("retry-after", "")
    full = errors.QueueFull | errors.DiskFull | errors.QuotaExceeded
    if isinstance(error, full) and retry_after.isdecimal():
        error.retry_after_s = int(retry_after)
    return error
