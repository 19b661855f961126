"""Which modules are replayed: the jobs' own, or builds from files in their place."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mvm_ci.cli.naming import find_module_by_digest, may_be_digest, read_file
from mvm_ci.client import ApiClient
from mvm_ci.domain.errors import BadInput, NotFound
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.module_names import parse_reference


class Build(NamedTuple):
    """A module in a file."""

    file: Path
    digest: Digest
    data: bytes


def read_build(text: str) -> Build:
    """Raises ``BadInput``."""
    file = Path(text)
    data = read_file(file)
    return Build(file, Digest(hashlib.sha256(data).hexdigest()), data)


async def builds_by_module(client: ApiClient, options: Sequence[str]) -> dict[str, Build]:
    """``NAME=FILE``, by the digests of all modules that NAME stands for. Raises ``BadInput``,
    ``NotFound``.
    """
    found: dict[str, Build] = {}
    for option in options:
        name, equals, file = option.partition("=")
        if not equals or not name or not file:
            raise BadInput(f"--module {option}: with --all it is NAME=FILE: whose jobs?")
        build = read_build(file)
        for digest in await _modules_of(client, name):
            if found.setdefault(digest, build) is not build:
                raise BadInput(f"--module {option}: the module {digest[:12]} has another build already")
    return found


async def _modules_of(client: ApiClient, name: str) -> set[str]:
    """All versions of a name, one of its versions, what was pushed with that name, or a digest."""
    reference = parse_reference(name)
    found: set[str] = set()
    if reference is not None and reference.version is not None:
        return {(await client.module_version(reference.name, reference.version)).digest}
    if reference is not None:
        found = {digest async for digest in _versions_of(client, name)}
    found |= {view.digest for view in await client.modules() if view.name == name}
    if not found and may_be_digest(name):
        found = {(await find_module_by_digest(client, name)).digest}
    if not found:
        raise NotFound(f"--module: there is no module {name!r}; 'mvm-ci module list' shows what there is")
    return found


async def _versions_of(client: ApiClient, name: str) -> AsyncIterator[str]:
    cursor: str | None = None
    while True:
        try:
            page = await client.module_versions(name, cursor=cursor)
        except NotFound:
            return
        for version in page.versions:
            yield version.digest
        cursor = page.cursor
        if cursor is None:
            return
