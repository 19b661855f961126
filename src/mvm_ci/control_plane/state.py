"""The control plane's state directory: what must survive so that tickets, workers and jobs stay what they
are.

::

    version         what this directory is, and of which format
    endpoint-key    the endpoint's secret key (hex): its public half is in every ticket
    udp-port        the port of the endpoint's socket: it is in every ticket, too
    admin-token     the first API token's secret
    secrets-key     the keys of secrets (``secret_keys``), unless they are elsewhere; not part of a backup
    store/          jobs, journals, workers, tokens (the SQL store's own)
    blobs/          modules and large payloads

The directory is 0700, its files 0600. All of this blocks: call it before the event loop matters, or in a
thread.
"""

import secrets
import socket
from asyncio import to_thread
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import structlog

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.role import Role
from mvm_ci.domain.tokens import TOKEN_BYTES, TokenKind, digest, format_token, parse_token, token_id
from mvm_ci.durable_files import write_whole
from mvm_ci.ports.access import ALL_NAMESPACES, Access, ApiToken

log = structlog.get_logger(__name__)

FORMAT: Final = 1
KEPT: Final = ("endpoint-key", "udp-port", "admin-token")
"""The small files that, beside store and blobs, make up the state."""
ADMIN_NAME: Final = "admin"
_MARK: Final = "mvm-ci control-plane state"
_KEY_BYTES: Final = 32
_VERSION_DRAFT: Final = ".version.new"


class StateDirectory:
    """An opened state directory. ``store`` and ``blobs`` are for those who keep things there."""

    def __init__(self, path: Path, random: Callable[[int], bytes]) -> None:
        self.path = path
        self.store = path / "store"
        self.blobs = path / "blobs"
        self._random = random

    @classmethod
    def open(cls, path: Path, random: Callable[[int], bytes] = secrets.token_bytes) -> Self:
        """Makes or checks the directory. Raises ``Misconfigured``: not writable, something else's, or of a
        newer version.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            version = path / "version"
            if not version.exists():
                if any(entry.name != _VERSION_DRAFT for entry in path.iterdir()):
                    raise Misconfigured(
                        f"{path} is not empty and no state of a control plane; choose another directory"
                    )
                mark_as_state(path)
            _check_version(path, version.read_text(encoding="utf-8", errors="replace"))
            # Ours, then: an operator may have made it, with other rights than secrets need.
            path.chmod(0o700)
            state = cls(path, random)
            for part in (state.store, state.blobs):
                part.mkdir(mode=0o700, exist_ok=True)
            return state
        except OSError as error:
            raise _unusable(path, error) from None

    def endpoint_key(self) -> bytes:
        """The endpoint's secret key; made once. Raises ``Misconfigured``."""
        file = self.path / "endpoint-key"
        text = self._once(file, lambda: self._random(_KEY_BYTES).hex())
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise Misconfigured(f"{file} holds no key; restore it, or delete it and give out new tickets")
        return key

    def p2p_address(self, bind: str) -> str:
        """``bind`` (``host:port``), with the persisted port in place of port 0; it is chosen once. Raises
        ``Misconfigured``.
        """
        host, _, port = bind.rpartition(":")
        if port != "0":
            return bind
        file = self.path / "udp-port"
        text = self._once(file, lambda: str(_free_udp_port(host)))
        if not text.isdecimal() or not 0 < int(text) < 65_536:
            raise Misconfigured(f"{file} holds no port; write the port that the tickets name, or delete it")
        return f"{host}:{text}"

    def admin_token(self) -> str:
        """The first token's secret; made once. Raises ``Misconfigured``."""
        file = self.path / "admin-token"
        text = self._once(file, lambda: format_token(TokenKind.API, self._random(TOKEN_BYTES)))
        try:
            parse_token(TokenKind.API, text)
        except ValueError:
            raise Misconfigured(f"{file} holds no token; delete it to get a new one") from None
        return text

    def _once(self, file: Path, make: Callable[[], str]) -> str:
        """The file's line, written if there is none."""
        try:
            if not file.exists():
                write_whole(file, make() + "\n", draft=f".{file.name}.new")
            if file.stat().st_mode & 0o077:
                raise Misconfigured(f"{file} can be read by others: chmod 600 {file}")
            return file.read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:
            raise _unusable(file, error) from None


async def ensure_admin_token(state: StateDirectory, access: Access, now_ms: int) -> str:
    """The secret of the admin token in ``<state>/admin-token``, which works from now on.

    But one that was revoked stays so: the log says what to do. Raises ``Misconfigured`` or ``Unavailable``.
    """
    secret = await to_thread(state.admin_token)
    key = digest(secret)
    token = ApiToken(
        id=token_id(key),
        digest=key,
        name=ADMIN_NAME,
        role=Role.ADMIN,
        namespace=ALL_NAMESPACES,
        created_ms=now_ms,
    )
    await access.put_token(token)
    stored = await access.token(key)
    if stored is not None and stored.revoked_ms is not None:
        hint = f"delete {state.path / 'admin-token'} and start again to get a new one"
        log.warning("admin_token_is_revoked", token=token.id, hint=hint)
    return secret


def check_is_state(path: Path) -> None:
    """Raises ``Misconfigured`` unless ``path`` is a state directory of a format known here. Changes
    nothing.
    """
    try:
        _check_version(path, (path / "version").read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        raise Misconfigured(f"{path} is no state of a control plane; choose another directory") from None
    except OSError as error:
        raise _unusable(path, error) from None


def mark_as_state(path: Path) -> None:
    """From now on ``path`` is a state directory. Durable on return. Raises ``OSError``."""
    write_whole(path / "version", f"{_MARK} {FORMAT}\n", draft=_VERSION_DRAFT)


def _check_version(path: Path, text: str) -> None:
    mark, _, number = text.strip().rpartition(" ")
    if mark != _MARK or not number.isdecimal():
        raise Misconfigured(f"{path} is no state of a control plane; choose another directory")
    if int(number) > FORMAT:
        raise Misconfigured(
            f"{path} was written by a newer version (format {number}, known up to {FORMAT}); use that version"
        )


def _free_udp_port(host: str) -> int:
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((bare, 0))
        port: int = probe.getsockname()[1]
        return port


def _unusable(path: Path, error: OSError) -> Misconfigured:
    return Misconfigured(f"cannot use {path}: {error.strerror or error}; check its owner, mode and disk")
