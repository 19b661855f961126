"""The client's methods for secrets."""

from collections.abc import Sequence

import msgspec

from mvm_ci.client.calls import Calls, part
from mvm_ci.wire import api

_JSON = {"content-type": "application/json"}


class SecretCalls(Calls):
    """Secrets. None of them tells a value."""

    async def secrets(self) -> tuple[api.SecretView, ...]:
        """The secrets of the namespace, by name."""
        return (await self._get("/v1/secrets", api.SecretList)).secrets

    async def secret(self, name: str) -> api.SecretView:
        """One secret."""
        return await self._get(_path(name), api.SecretView)

    async def set_secret(
        self, name: str, value: str, *, modules: Sequence[str] | None = None
    ) -> api.SecretView:
        """Makes a secret, or a new version of one.

        ``modules``: whose jobs may read it: published names, ``name@version``, digests, or ``*`` for all;
        None: as before, and of a new secret none.
        """
        asked = api.SetSecret(value=value, modules=None if modules is None else tuple(modules))
        return await self._put(_path(name), asked)

    async def rotate_secret(self, name: str, value: str) -> api.SecretView:
        """A new version of a secret that there is."""
        return await self._post(_path(name, "/rotate"), api.SecretView, api.RotateSecret(value=value))

    async def allow_secret(self, name: str, modules: Sequence[str]) -> api.SecretView:
        """Says whose jobs may read a secret from now on, as ``set_secret`` does."""
        return await self._put(_path(name, "/modules"), api.AllowModules(modules=tuple(modules)))

    async def remove_secret(self, name: str) -> api.SecretView:
        """Removes a secret with all its versions. ``Conflict`` while a job names it that may go on."""
        return self._decode(await self._send("DELETE", _path(name)), api.SecretView)

    async def _put(self, path: str, body: msgspec.Struct) -> api.SecretView:
        answer = await self._send("PUT", path, content=msgspec.json.encode(body), headers=_JSON)
        return self._decode(answer, api.SecretView)


def _path(name: str, below: str = "") -> str:
    return f"/v1/secrets/{part(name)}{below}"
