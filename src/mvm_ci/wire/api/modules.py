"""Modules."""

import msgspec


class ModuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A module of a namespace. ``name``: what it was called when it was pushed."""

    digest: str
    name: str
    kind: str
    size: int
    created_ms: int
    allow_hosts: tuple[str, ...]
    secrets: tuple[str, ...] = ()


class ModuleList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/modules?prefix=``, newest first."""

    modules: tuple[ModuleView, ...]


class PutModuleVersion(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """``PUT /v1/modules/names/{name}/versions/{version}``: of a module that was pushed."""

    digest: str


class ModuleVersionView(msgspec.Struct, frozen=True, kw_only=True):
    """What a name and a version stand for."""

    name: str
    version: str
    digest: str
    created_ms: int


class ModuleVersionList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``GET /v1/modules/names``: the newest version of each name, by name; or
    ``GET /v1/modules/names/{name}/versions``: all of a name, newest first. ``cursor``: pass it to get the
    next page.
    """

    versions: tuple[ModuleVersionView, ...]
    cursor: str | None = None
