"""Modules."""

import msgspec


class ModuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A module."""

    digest: str
    name: str
    kind: str
    size: int
    created_ms: int
    allow_hosts: tuple[str, ...]


class ModuleList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/modules?prefix=``, newest first."""

    modules: tuple[ModuleView, ...]
