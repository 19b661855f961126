"""``build``: from a job script to a WebAssembly component with its manifest."""

import hashlib
import keyword
import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.adapters.componentize.analysis import RESERVED, Analysis, analyse
from mvm_ci.adapters.componentize.script import read_manifest
from mvm_ci.domain.errors import BadInput, Misconfigured, Unavailable
from mvm_ci.domain.module import Manifest, inspect, with_manifest

_ENTRY: Final = "mvm_ci_entry"
_BUILD_MODULE: Final = "mvm_ci_build"
_RUNTIME: Final = ("mvm_ci_", "mvm_ci/")
# The package has no __main__, and its script's place is known only to the installer.
_COMPONENTIZE: Final = (
    "import sys, componentize_py; sys.argv[0] = 'componentize-py'; sys.exit(componentize_py.script())"
)
_TIME_LIMIT_S: Final = 300.0
_COMPLAINT_CHARS: Final = 2_000


class BuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """A finished build. ``digest``: SHA-256 of the component, ``size`` in bytes, ``warnings`` begin with
    file and line.
    """

    output: Path
    digest: str
    size: int
    manifest: Manifest
    warnings: tuple[str, ...]
    cached: bool


def build(source: Path, output: Path, *, cache: Path, time_limit_s: float = _TIME_LIMIT_S) -> BuildReport:
    """Builds the job in ``source`` into the component ``output``; the same sources are built once for
    ``cache``.

    Blocks for about ten seconds when it has to build, needs no network, and writes nothing but the two.
    Raises ``BadInput`` with file and line for whatever is wrong with the job, ``Misconfigured`` if the
    installation is not complete, ``Unavailable`` if the build took too long or a directory cannot be written.
    """
    analysis = analyse(source)
    manifest = read_manifest(analysis.text, source)
    job = _module_name(source)
    staged = _staged(source, job, analysis)
    kept = cache / f"{_key(staged)}.wasm"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        cached = kept.exists()
        if not cached:
            _build_into(kept, staged, manifest, analysis, time_limit_s)
        data = kept.read_bytes()
    except OSError as error:
        raise Unavailable(f"{cache}: the build cache cannot be used: {error}") from error
    _write(output, data)
    return BuildReport(
        output=output,
        digest=hashlib.sha256(data).hexdigest(),
        size=len(data),
        manifest=manifest,
        warnings=analysis.warnings,
        cached=cached,
    )


def guest_directory() -> Path:
    """Where the guests' runtime and interface are: inside the installed package, or in the source tree."""
    package = Path(__file__).resolve().parents[2]
    for candidate in (package / "_guest", package.parents[1] / "guest"):
        if (candidate / "wit" / "world.wit").is_file() and (candidate / "python" / f"{_ENTRY}.py").is_file():
            return candidate
    raise Misconfigured("the runtime of Python guests is missing from this installation")


def _module_name(source: Path) -> str:
    """The name under which the job is imported: its file's, unless that cannot be a module's name or is
    taken.
    """
    name = re.sub(r"\W", "_", source.stem)
    if not name.isidentifier():
        name = f"job_{name}"
    if keyword.iskeyword(name) or name in sys.stdlib_module_names or name.startswith(RESERVED):
        name = f"{name}_job" if not name.startswith(RESERVED) else f"job_{name}"
    return name


def _staged(source: Path, job: str, analysis: Analysis) -> dict[str, bytes]:
    """All files of the build, by their path in its directory."""
    guest = guest_directory()
    runtime = sorted((guest / "python").rglob("*.py"))
    staged = {path.relative_to(guest).as_posix(): path.read_bytes() for path in runtime}
    staged["wit/world.wit"] = (guest / "wit" / "world.wit").read_bytes()
    staged[f"python/{job}.py"] = source.read_bytes()
    for path in analysis.files.values():
        staged[f"python/{path.relative_to(source.parent).as_posix()}"] = path.read_bytes()
    lines = (
        f"JOB = {job!r}",
        f"MODULES = {analysis.modules!r}",
        f"OPTIONAL = {analysis.optional!r}",
        f"SOURCES = {(job, *sorted(analysis.files))!r}",
    )
    staged[f"python/{_BUILD_MODULE}.py"] = "\n".join([*lines, ""]).encode()
    return staged


def _key(staged: dict[str, bytes]) -> str:
    digest = hashlib.sha256(version("componentize-py").encode())
    for path, content in sorted(staged.items()):
        digest.update(f"\0{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _build_into(
    kept: Path, staged: dict[str, bytes], manifest: Manifest, analysis: Analysis, time_limit_s: float
) -> None:
    with tempfile.TemporaryDirectory(prefix="mvm-ci-build-") as directory:
        root = Path(directory)
        for path, content in staged.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        component = root / "component.wasm"
        _componentize(root, component, analysis, time_limit_s)
        data = with_manifest(component.read_bytes(), manifest)
    inspect(data)
    partial = kept.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(data)
    partial.replace(kept)


def _componentize(root: Path, component: Path, analysis: Analysis, time_limit_s: float) -> None:
    command = [sys.executable, "-I", "-c", _COMPONENTIZE, "-q", "-d", "wit", "-w", "job", "componentize"]
    command += ["-p", "python", _ENTRY, "-o", component.name]
    # Without the environment no virtual environment is found, whose packages would be visible to the job.
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=time_limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"the build took more than {time_limit_s:.0f} s; it was stopped") from None
    if done.returncode != 0 or not component.is_file():
        raise _failure((done.stdout + done.stderr).decode(errors="replace"), analysis)


def _failure(text: str, analysis: Analysis) -> BadInput:
    """Why the build failed: nearly always the job's own code, which is executed up to its end when it is
    imported.
    """
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", text)
    if missing is not None and missing[1] in analysis.places:
        return BadInput(f"{analysis.places[missing[1]]}: there is no module {missing[1]} in a guest")
    raised = re.findall(r"(?m)^\s*([\w.]+(?:Error|Exception|Exit|Interrupt)\b.*)$", text)
    frames = re.findall(r'File "/\d+/([^"]+)", line (\d+)', text)
    own = [f"{path}:{line}" for path, line in frames if not path.startswith(_RUNTIME)]
    if raised and own:
        return BadInput(f"{own[-1]}: importing the job failed: {raised[-1].strip()}")
    return BadInput(f"componentize-py failed: {' '.join(text.split())[-_COMPLAINT_CHARS:]}")


def _write(output: Path, data: bytes) -> None:
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(output)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BadInput(f"{output}: cannot be written: {error.strerror}") from error
