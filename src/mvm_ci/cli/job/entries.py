"""Jobs as a submission describes them: by the command line, and each job of a file by itself."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from mvm_ci.cli.job.request import JobRequest
from mvm_ci.cli.naming import FoundModule, find_job, find_module, pushed, read_module_file
from mvm_ci.cli.uploads import digest_of
from mvm_ci.domain.errors import BadInput, TooLarge
from mvm_ci.wire.api import MAX_BODY, AfterSpec, SubmitJob

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient

Entry = dict[str, msgspec.Raw]
"""Fields of a ``SubmitJob``, not yet checked."""
_MISREAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_entries(file: str) -> list[Entry]:
    """The jobs of a file (``-``: stdin): a JSON list, ``{"jobs": [...]}``, one object, or one a line.

    Raises ``BadInput``.
    """
    data = _bytes(file)
    try:
        whole = msgspec.json.decode(data, type=list[Entry] | Entry)
    except _MISREAD as error:
        lines = [(at, line) for at, line in enumerate(data.splitlines(), 1) if line.strip()]
        if len(lines) < 2 or data.lstrip()[:1] == b"[":
            raise BadInput(f"--from: {file} holds no jobs: {error}") from None
        return [_line(file, at, line) for at, line in lines]
    if isinstance(whole, list):
        return whole
    if set(whole) == {"jobs"}:
        return _list(file, whole["jobs"])
    return [whole]


def _list(file: str, jobs: msgspec.Raw) -> list[Entry]:
    """The value of ``jobs``. Raises ``BadInput``."""
    try:
        return msgspec.json.decode(jobs, type=list[Entry])
    except _MISREAD as error:
        raise BadInput(f"--from: jobs in {file} is no list of jobs: {error}") from None


class Entries:
    """Makes requests of entries; asks for each module and each other job once."""

    def __init__(self, client: "ApiClient", request: JobRequest, module: str | FoundModule | None) -> None:
        """``module``: of entries that name none."""
        self._client = client
        self._modules: dict[str, FoundModule] = {}
        if module is None or isinstance(module, str):
            self._module = module
        else:
            self._module = module.reference
            self._modules[module.reference] = module
        self._jobs: dict[str, str] = {}
        self._base = msgspec.json.decode(msgspec.json.encode(request.spec), type=Entry)
        del self._base["module"]
        self._artifacts = request.artifacts
        if request.name is not None:
            self._base["name"] = _raw(request.name)

    async def jobs(self, entries: Sequence[Entry]) -> list[SubmitJob]:
        """The jobs; what an entry leaves out is as the command line says. Raises ``BadInput``,
        ``NotFound``.
        """
        given = self._artifacts
        if given:
            inputs = {name: await digest_of(self._client, file) for name, file in given.items()}
            self._base["inputs"] = msgspec.Raw(msgspec.json.encode(inputs))
        return [await self._job(number, entry) for number, entry in enumerate(entries)]

    async def _job(self, number: int, entry: Entry) -> SubmitJob:
        fields = self._base | entry
        if "module" not in fields and self._module is None:
            raise BadInput(f"job {number} has no module, and there is no MODULE on the command line")
        fields.setdefault("module", _raw(self._module))
        try:
            job = msgspec.json.decode(msgspec.json.encode(fields), type=SubmitJob)
        except _MISREAD as error:
            raise BadInput(f"job {number} (from 0) is not as it must be: {error}") from None
        module = await self._find_module(job.module)
        after = tuple([await self._after(one) for one in job.after])
        name = job.name if "name" in fields else module.name
        return msgspec.structs.replace(job, module=module.reference, name=name, after=after)

    async def _find_module(self, text: str) -> FoundModule:
        found = self._modules.get(text)
        if found is None:
            data = read_module_file(text)
            client = self._client
            found = (
                await find_module(client, text) if data is None else pushed(await client.push_module(data))
            )
            self._modules[text] = found
        return found

    async def _after(self, after: AfterSpec) -> AfterSpec:
        if after.job.startswith("#"):
            return after
        found = self._jobs.get(after.job)
        if found is None:
            found = self._jobs[after.job] = await find_job(self._client, after.job)
        return msgspec.structs.replace(after, job=found)


def _bytes(file: str) -> bytes:
    try:
        if file == "-":
            data = sys.stdin.buffer.read(MAX_BODY + 1)
        else:
            with Path(file).open("rb") as opened:
                data = opened.read(MAX_BODY + 1)
    except OSError as error:
        raise BadInput(f"--from: cannot read {file}: {error.strerror}") from None
    if len(data) > MAX_BODY:
        raise TooLarge(f"--from: {file} has more than the {MAX_BODY} bytes of one request; split it")
    return data


def _line(file: str, number: int, line: bytes) -> Entry:
    try:
        return msgspec.json.decode(line, type=Entry)
    except _MISREAD as error:
        raise BadInput(f"--from: line {number} of {file} is no JSON object: {error}") from None


def _raw(value: str | None) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
