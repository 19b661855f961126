"""Secrets. No answer holds a value."""

from typing import Any

import msgspec


class RotateSecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``POST /v1/secrets/{name}/rotate``: a new value."""

    value: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class SetSecret(RotateSecret, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``PUT /v1/secrets/{name}``. ``modules``: whose jobs may read it: published names, ``name@version``,
    digests, or ``*`` for all; left out: as before, and of a new secret none.
    """

    modules: tuple[str, ...] | None = None


class AllowModules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``PUT /v1/secrets/{name}/modules``: all of them."""

    modules: tuple[str, ...]


class SecretView(msgspec.Struct, frozen=True, kw_only=True):
    """A secret without its value. ``version``: the newest, of ``changed_ms``; ``versions``: how many are
    kept, earlier ones for jobs that may have been told them.
    """

    name: str
    version: int
    versions: int
    modules: tuple[str, ...]
    changed_ms: int


class SecretList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/secrets``, by name."""

    secrets: tuple[SecretView, ...]
