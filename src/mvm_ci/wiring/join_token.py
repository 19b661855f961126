"""Permission to join, for what runs in the control plane's process or is started beside it."""

import asyncio
from functools import partial
from pathlib import Path
from secrets import token_bytes
from typing import Final

import structlog

from mvm_ci.adapters.system import SystemClock
from mvm_ci.config.credentials import write_atomically
from mvm_ci.domain.errors import Misconfigured, MvmCiError
from mvm_ci.domain.tokens import TOKEN_BYTES, TokenKind, digest, format_token
from mvm_ci.lifecycle.join_tokens import kept_join_token
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.registry import JoinToken, Registry

_JOIN_MS: Final = 60_000
_LOOK_MS: Final = 60_000
_MAX_FILE: Final = 1024

_log = structlog.get_logger(__name__)


async def join_token(registry: Registry, what: str) -> str:
    """For a minute, once; a peer that has joined does not use it. ``what``: begins its id."""
    secret = format_token(TokenKind.JOIN, token_bytes(TOKEN_BYTES))
    now = SystemClock().now_ms()
    await registry.put_join_token(
        JoinToken(
            id=f"{what}{token_bytes(6).hex()}",
            digest=digest(secret),
            created_ms=now,
            expires_ms=now + _JOIN_MS,
            uses_left=1,
        )
    )
    return secret


async def write_join_token(file: Path, registry: Registry, clock: Clock) -> None:
    """The file holds a token by which workers can join; only its owner can read it. Raises ``Misconfigured``
    or ``Unavailable``.
    """
    held = await asyncio.to_thread(_read, file)
    secret = await kept_join_token(registry, token_bytes, clock.now_ms(), held)
    if secret is not None:
        await asyncio.to_thread(partial(write_atomically, file, secret + "\n", 0o600))
        _log.info("join_token_written", file=str(file))


async def keep_join_token(file: Path, registry: Registry, clock: Clock) -> None:
    """Looks at the file now and then, for ever: workers start at any time."""
    while True:
        await clock.sleep(_LOOK_MS)
        try:
            await write_join_token(file, registry, clock)
        except MvmCiError as error:
            _log.warning("join_token_not_written", error=str(error))  # and tried again


def _read(file: Path) -> str | None:
    try:
        with file.open(encoding="utf-8", errors="replace") as text:
            return text.read(_MAX_FILE).strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Misconfigured(f"cannot read {file}: {error.strerror}") from None
