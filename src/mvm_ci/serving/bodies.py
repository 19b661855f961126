"""The bodies of requests, within their limits, and what is in them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

import msgspec

from mvm_ci.domain.errors import BadInput, TooLarge
from mvm_ci.serving.exchange import BodyLate, BodyTooLarge, Exchange
from mvm_ci.serving.problems import HttpError

T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The body's value. Raises ``BadInput``, saying what is wrong and where."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BadInput(f"the body is not as it must be: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"the body is not JSON: {error}") from None


async def read_body(exchange: Exchange, limit: int) -> bytes:
    """The whole body. Raises ``TooLarge`` as soon as it is over ``limit``, ``HttpError`` if it does not
    come in time, ``Disconnected``.
    """
    try:
        return await exchange.body(limit)
    except (BodyTooLarge, BodyLate) as error:
        raise _explained(error, limit) from None


async def body_pieces(exchange: Exchange, limit: int) -> AsyncGenerator[bytes, None]:
    """The same piece by piece, as it comes; it comes in time as long as something does."""
    try:
        async with aclosing(exchange.pieces(limit)) as pieces:
            async for piece in pieces:
                yield piece
    except (BodyTooLarge, BodyLate) as error:
        raise _explained(error, limit) from None


def _explained(error: BodyTooLarge | BodyLate, limit: int) -> Exception:
    if isinstance(error, BodyLate):
        return HttpError(408, "bad-input", f"the body did not come within {error.limit_s:g} s")
    if error.announced is None:
        return TooLarge(f"the body has more than the {limit} bytes that are allowed")
    return TooLarge(f"the body has {error.announced} bytes; at most {limit} are allowed")
