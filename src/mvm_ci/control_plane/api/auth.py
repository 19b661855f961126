"""Who calls: bearer tokens, what their roles allow, and the namespace in which they work."""

from typing import Final

import structlog
from msgspec.structs import replace

from mvm_ci.domain.namespace import DEFAULT_NAMESPACE
from mvm_ci.domain.role import Role
from mvm_ci.domain.tokens import TokenKind, digest, parse_token, same
from mvm_ci.lifecycle.namespaces import Namespaces
from mvm_ci.ports.access import ALL_NAMESPACES, Access, ApiToken
from mvm_ci.ports.clock import Clock
from mvm_ci.serving.problems import HttpError

log = structlog.get_logger(__name__)

USED_MS: Final = 600_000
"""How coarse the time of a token's last use is."""
REPORT_MS: Final = 10_000
"""Between two lines in the log on refused tokens."""
_REMEMBERED: Final = 1_000
_SCHEME: Final = b"bearer "
_CHALLENGE: Final = ((b"www-authenticate", b'Bearer realm="mvm-ci"'),)


class Authentication:
    """Checks tokens. Remembers those that are valid; ``forget`` makes it look again.

    A token that is not valid costs a hash and at most one read of the store, whatever is wrong with it.
    """

    def __init__(self, access: Access, namespaces: Namespaces, clock: Clock) -> None:
        self._access = access
        self._namespaces = namespaces
        self._clock = clock
        self._known: dict[str, ApiToken] = {}
        self._forgotten = 0
        self.refused = 0
        """Requests without a valid token, since the start."""
        self._reported = 0
        self._reported_ms: int | None = None

    def forget(self) -> None:
        """A token was revoked: the next request with it, and with any other, asks the store."""
        self._known.clear()
        self._forgotten += 1

    async def caller(self, header: bytes | None) -> ApiToken:
        """The caller's token. Raises ``HttpError`` (401) if there is none, or it is not valid (any more)."""
        if header is None:
            raise self._refusal("this needs a token: Authorization: Bearer mvm_api_...")
        token = await self._token(header)
        if token is None:
            raise self._refusal("the token is not valid here")
        now = self._clock.now_ms()
        if token.revoked_ms is not None:
            raise self._refusal(f"the token {token.id} was revoked")
        if token.expires_ms is not None and token.expires_ms <= now:
            raise self._refusal(f"the token {token.id} has expired")
        if token.last_used_ms is None or now - token.last_used_ms >= USED_MS:
            self._access.used(token.id, now)
            if token.digest in self._known:
                self._known[token.digest] = replace(token, last_used_ms=now)
        return token

    async def still_valid(self, caller: ApiToken) -> bool:
        """Whether a token that was valid still is: for answers that last. Raises ``Unavailable``."""
        found = self._known.get(caller.digest) or await self._access.token(caller.digest)
        if found is None or found.revoked_ms is not None:
            return False
        return found.expires_ms is None or found.expires_ms > self._clock.now_ms()

    def permit(self, caller: ApiToken, role: Role, *, everywhere: bool) -> None:
        """Raises ``HttpError`` (403) if the caller's role, or its scope, does not allow it."""
        if not caller.role.includes(role):
            raise HttpError(
                403, "refused", f"the token's role is {caller.role.value}; this needs {role.value}"
            )
        if everywhere and caller.namespace != ALL_NAMESPACES:
            raise HttpError(
                403, "refused", f"the token is for the namespace {caller.namespace}; this needs one for all"
            )

    def namespace(self, caller: ApiToken, asked: bytes | None) -> str:
        """In which namespace the request works. ``asked``: its ``X-Namespace``, if it has one.

        Raises ``HttpError`` (403) if the token is not for it, ``NotFound`` if there is none.
        """
        if caller.namespace != ALL_NAMESPACES:
            if asked is not None and asked != caller.namespace.encode():
                raise HttpError(
                    403, "refused", f"the token is for the namespace {caller.namespace} and for no other"
                )
            return self._namespaces.find(caller.namespace).name
        if asked is None:
            return DEFAULT_NAMESPACE
        return self._namespaces.find(asked.decode("latin-1")).name

    async def _token(self, header: bytes) -> ApiToken | None:
        if header[: len(_SCHEME)].lower() != _SCHEME:
            return None
        text = header[len(_SCHEME) :].decode("latin-1").strip()
        key = digest(text)
        found = self._known.get(key)
        if found is None:
            try:
                parse_token(TokenKind.API, text)
            except ValueError:
                return None
            before = self._forgotten
            found = await self._access.token(key)
            if found is None:
                return None
            # What was read before something was revoked is used once, but not remembered.
            if before == self._forgotten and found.revoked_ms is None:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[key] = found
        return found if same(found.digest, key) else None

    def _refusal(self, detail: str) -> HttpError:
        self.refused += 1
        now = self._clock.now_ms()
        if self._reported_ms is None or not 0 <= now - self._reported_ms < REPORT_MS:
            log.warning("tokens_refused", count=self.refused - self._reported, last=detail)
            self._reported, self._reported_ms = self.refused, now
        return HttpError(401, "refused", detail, _CHALLENGE)
