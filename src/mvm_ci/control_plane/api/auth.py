"""Who calls: bearer tokens and their roles."""

from typing import Final

from mvm_ci.control_plane.api.problems import HttpError
from mvm_ci.domain.tokens import TokenKind, digest, parse_token, same
from mvm_ci.ports.registry import ApiToken, Registry, Role

_REMEMBERED: Final = 1_000
_SCHEME: Final = b"bearer "
_CHALLENGE: Final = ((b"www-authenticate", b'Bearer realm="mvm-ci"'),)


class Authentication:
    """Checks tokens. Remembers those that are valid: a stored token never changes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[str, ApiToken] = {}

    async def require(self, header: bytes | None, role: Role) -> None:
        """Raises ``HttpError``: 401 without a valid token, 403 if its role does not allow it."""
        if header is None:
            raise HttpError(
                401, "refused", "this needs a token: Authorization: Bearer mvm_api_...", _CHALLENGE
            )
        token = await self._token(header)
        if token is None:
            raise HttpError(401, "refused", "the token is not valid here", _CHALLENGE)
        if not token.role.includes(role):
            raise HttpError(
                403, "refused", f"the token's role is {token.role.value}; this needs {role.value}"
            )

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
            found = await self._registry.api_token(key)
            if found is None:
                return None
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = found
        return found if same(found.digest, key) else None
