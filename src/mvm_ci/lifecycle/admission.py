"""Who may become a worker: versions, names, join tokens."""

from typing import Final

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.domain.grant import PeerRole
from mvm_ci.domain.ids import is_incarnation
from mvm_ci.domain.labels import check_labels
from mvm_ci.domain.tokens import TokenKind, digest, parse_token
from mvm_ci.journal.entries import FORMAT_VERSION
from mvm_ci.ports.registry import Join, Registry, Worker
from mvm_ci.wire import messages as m
from mvm_ci.wire.session import negotiate

MAX_NAME: Final = 100
MAX_SLOTS: Final = 10_000
_LARGEST: Final = (1 << 63) - 1


def check(hello: m.Hello) -> m.Refused | None:
    """Why this worker cannot work with us, or None. Raises ``ProtocolError`` for fields that are not as
    they must be.
    """
    if negotiate(hello.oldest, hello.newest) is None:
        return m.Refused(
            m.REFUSED_VERSION,
            f"the worker speaks protocol {hello.oldest} to {hello.newest}, "
            f"the control plane {m.OLDEST_PROTOCOL} to {m.PROTOCOL}: bring both to one version",
            final=True,
        )
    if hello.journal_format != FORMAT_VERSION:
        return m.Refused(
            m.REFUSED_VERSION,
            f"the worker writes journal format {hello.journal_format}, "
            f"the control plane knows {FORMAT_VERSION}",
            final=True,
        )
    incarnations = [hello.incarnation, *([hello.previous] if hello.previous is not None else [])]
    if not all(map(is_incarnation, incarnations)):
        raise ProtocolError("a Hello whose incarnation is not 32 hex digits")
    texts = (hello.name, hello.version, hello.platform)
    if not hello.name or not all(len(text) <= MAX_NAME and text.isprintable() for text in texts):
        raise ProtocolError(f"a Hello with a text that is not printable, or over {MAX_NAME} characters")
    try:
        check_labels(hello.labels)
    except ValueError as error:
        raise ProtocolError(f"a Hello whose labels cannot be: one {error}") from None
    if not 0 <= hello.slots <= MAX_SLOTS:
        raise ProtocolError(f"a Hello with {hello.slots} slots")
    if not all(0 <= placed.job <= _LARGEST and 0 <= placed.epoch <= _LARGEST for placed in hello.running):
        raise ProtocolError("a Hello with a placement that nobody was given")
    granted = [grant.placed for grant in hello.grants]
    if granted != (list(hello.running) if hello.role is PeerRole.ENGINE else []):
        raise ProtocolError("a Hello whose grants are not those of what an engine runs")
    return None


def protocol(hello: m.Hello) -> int:
    """The protocol version to speak with a worker that passed ``check``."""
    version = negotiate(hello.oldest, hello.newest)
    if version is None:
        raise ProtocolError("no common protocol version")
    return version


async def join(registry: Registry, worker: Worker, hello: m.Hello, now_ms: int) -> m.Refused | None:
    """Lets an unknown key join with its token, or says why not. Raises ``Unavailable``."""
    if hello.join_token is None:
        return m.Refused(
            m.REFUSED_JOIN, "this worker is unknown here; start it with a join token", final=True
        )
    try:
        parse_token(TokenKind.JOIN, hello.join_token)
    except ValueError:
        # Not asked of the store: what cannot be a token needs no look-up.
        result = Join.UNKNOWN
    else:
        result = await registry.join(digest(hello.join_token), worker, now_ms)
    if result is Join.DONE:
        return None
    if result is Join.REVOKED:
        return revoked()
    why = {
        Join.UNKNOWN: "the join token is not known here",
        Join.EXPIRED: "the join token has expired",
        Join.USED_UP: "the join token is used up",
    }[result]
    return m.Refused(m.REFUSED_JOIN, f"{why}; ask for a new one", final=True)


def revoked() -> m.Refused:
    """The answer to a key that an operator revoked."""
    return m.Refused(m.REFUSED_REVOKED, "this worker's key was revoked", final=True)


def key_in_use(lease_left_ms: int) -> m.Refused:
    """The answer to a second process with the key of one that is alive, or may be."""
    return m.Refused(
        m.REFUSED_KEY_IN_USE,
        f"another process with this key holds a session, for {lease_left_ms / 1000:.1f} s more "
        "unless it renews it",
        final=False,
    )
