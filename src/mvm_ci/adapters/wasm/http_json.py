"""The JSON documents of a guest's HTTP calls; their text form is described in ``guest/abi/core.md``."""

from typing import Final

import msgspec

from mvm_ci.domain.http import IDEMPOTENT_METHODS, HttpFailure, HttpRequest, HttpResult
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef
from mvm_ci.ports.guest import HostCalls

MAX_REQUEST_BYTES: Final = 16 << 20
MAX_HEADERS_BYTES: Final = 512 << 10
"""Of the headers' JSON: more than fits any request that is sent, however it is escaped. Reading a million
headers takes longer than the guests beside this one may have to wait.
"""
MAX_CALL_BYTES: Final = 16 << 20
MAX_CALL_NAME_BYTES: Final = 64
_DEFAULT_TIMEOUT_MS: Final = 30_000
_MAX_TIMEOUT_MS: Final = 3_600_000


class _Reference(msgspec.Struct, frozen=True):
    digest: str
    size: int


class _Request(msgspec.Struct, frozen=True):
    url: str
    method: str = "GET"
    headers: msgspec.Raw = msgspec.Raw(b"[]")
    body: bytes = b""
    timeout_ms: int = _DEFAULT_TIMEOUT_MS
    idempotent: bool | None = None
    to_artifact: str = ""
    from_artifact: _Reference | None = None


class _Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    status: int
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    artifact: _Reference | None = None


class _Error(msgspec.Struct, frozen=True):
    kind: str
    message: str


_decoder: Final = msgspec.json.Decoder(_Request)
_headers: Final = msgspec.json.Decoder(tuple[tuple[str, str], ...])
_encoder: Final = msgspec.json.Encoder()


async def answer(host: HostCalls, document: bytes) -> bytes:
    """Has ``host`` perform the request in ``document``; a document that is none is answered, it does not
    end the guest.
    """
    try:
        asked = _decoder.decode(document)
        if len(bytes(asked.headers)) > MAX_HEADERS_BYTES:
            return encode_error("too-large", f"the headers are more than {MAX_HEADERS_BYTES} bytes of JSON")
        request = _request(asked)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return encode_error("protocol", f"not a request: {error}")
    return _encode_result(await host.http(request))


def _request(asked: _Request) -> HttpRequest:
    method = asked.method.upper()
    headers = _headers.decode(asked.headers)
    source = asked.from_artifact
    return HttpRequest(
        method=method,
        url=asked.url,
        headers=tuple((name.lower(), value) for name, value in headers),
        body=asked.body,
        timeout_ms=min(max(asked.timeout_ms, 1), _MAX_TIMEOUT_MS),
        idempotent=method in IDEMPOTENT_METHODS if asked.idempotent is None else asked.idempotent,
        from_artifact=BlobRef(Digest(source.digest), source.size) if source is not None else None,
        to_artifact=asked.to_artifact,
    )


def _encode_result(result: HttpResult) -> bytes:
    """The document a guest reads. A body that is a reference has become an artifact: all others were
    resolved.
    """
    if isinstance(result, HttpFailure):
        return encode_error(result.kind, result.message)
    body, kept = result.body, None
    if isinstance(body, BlobRef):
        kept = _Reference(body.digest, body.size)
        body = b""
    answer = _Answer(result.status, result.url, result.headers, body, kept)
    return _encoder.encode({"ok": answer})


def encode_error(kind: str, message: str) -> bytes:
    """The document of a request that got no answer."""
    return _encoder.encode({"error": _Error(kind=kind, message=message)})


REQUEST_TOO_LARGE: Final = encode_error("too-large", f"a request has at most {MAX_REQUEST_BYTES} bytes")
CALL_TOO_LARGE: Final = encode_error(
    "too-large",
    f"a call has a name of at most {MAX_CALL_NAME_BYTES} and an argument of at most {MAX_CALL_BYTES} bytes",
)
