"""``build``: from a job's source to a WebAssembly component with its manifest."""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.adapters.componentize.plan import Plan, make_plan, unusable
from mvm_ci.domain.errors import BadInput, Misconfigured, Unavailable
from mvm_ci.domain.module import Manifest, inspect, with_manifest

_ENTRY: Final = "mvm_ci_entry"
_BUILD_MODULE: Final = "mvm_ci_build"
_RUNTIME: Final = ("mvm_ci_", "mvm_ci/")
# The package has no __main__, and its script's place is known only to the installer.
_COMPONENTIZE: Final = (
    "import sys, componentize_py; sys.argv[0] = 'componentize-py'; sys.exit(componentize_py.script())"
)
_OWN: Final = "python"
_ENVIRONMENT: Final = "packages"
_PACKAGES: Final = f"{_ENVIRONMENT}/lib/site-packages"
_MOUNTED: Final = ("/0", "/1")
"""Where the guest finds these two."""
_TIME_LIMIT_S: Final = 300.0
_COMPLAINT_CHARS: Final = 2_000


class BuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """A finished build. ``digest``: SHA-256 of the component, ``size`` in bytes, ``packages`` as
    ``name==version``, ``warnings`` begin with file and line.
    """

    output: Path
    digest: str
    size: int
    manifest: Manifest
    packages: tuple[str, ...]
    warnings: tuple[str, ...]
    cached: bool


def build(
    source: Path,
    output: Path,
    *,
    cache: Path,
    relock: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    time_limit_s: float = _TIME_LIMIT_S,
) -> BuildReport:
    """Builds the job in ``source`` into the component ``output``; the same sources are built once for
    ``cache``.

    Blocks for about ten seconds when it has to build. Asks a package index only for packages that are not in
    ``cache`` yet, and for the lock, which it writes if there is none, or if ``relock``. ``tell`` is given a
    line whenever it does one of these.

    Raises ``BadInput`` with file and line for whatever is wrong with the job, ``Misconfigured`` if the
    installation is not complete, ``Unavailable`` if the build took too long, no index answered or a directory
    cannot be written.
    """
    plan = make_plan(source, cache, relock=relock, keep=True, tell=tell)
    if plan.analysis.refusals:
        raise BadInput(_refused(plan.analysis.refusals, source))
    staged = _staged(plan)
    kept = cache / f"{_key(staged)}.wasm"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        cached = kept.exists()
        if not cached:
            _build_into(kept, staged, plan, time_limit_s)
        data = kept.read_bytes()
    except OSError as error:
        raise unusable(cache, error) from error
    _write(output, data)
    return BuildReport(
        output=output,
        digest=hashlib.sha256(data).hexdigest(),
        size=len(data),
        manifest=plan.job.manifest,
        packages=tuple(one.pin for one in plan.packages.wheels),
        warnings=plan.analysis.warnings,
        cached=cached,
    )


def _refused(refusals: tuple[str, ...], source: Path) -> str:
    more = f" (and {len(refusals) - 1} more: mvm-ci build --check {source})" if len(refusals) > 1 else ""
    return refusals[0] + more


def guest_directory() -> Path:
    """Where the guests' runtime and interface are: inside the installed package, or in the source tree."""
    package = Path(__file__).resolve().parents[2]
    for candidate in (package / "_guest", package.parents[1] / "guest"):
        if (candidate / "wit" / "world.wit").is_file() and (candidate / "python" / f"{_ENTRY}.py").is_file():
            return candidate
    raise Misconfigured("the runtime of Python guests is missing from this installation")


def _staged(plan: Plan) -> dict[str, bytes]:
    """All files of the build, by their path in its directory."""
    guest = guest_directory()
    analysis, module = plan.analysis, plan.job.module
    runtime = guest / "python"
    staged = {
        f"{_OWN}/{path.relative_to(runtime).as_posix()}": path.read_bytes()
        for path in sorted(runtime.rglob("*.py"))
    }
    staged["wit/world.wit"] = (guest / "wit" / "world.wit").read_bytes()
    staged |= {f"{_OWN}/{path}": content for path, content in plan.files.items()}
    staged |= {f"{_PACKAGES}/{path}": content for path, content in plan.packages.files.items()}
    lines = (
        f"JOB = {module!r}",
        f"MODULES = {analysis.modules!r}",
        f"OPTIONAL = {analysis.optional!r}",
        f"SOURCES = {(module, *sorted(analysis.files))!r}",
        f"DIRECTORIES = {_MOUNTED!r}",
    )
    staged[f"{_OWN}/{_BUILD_MODULE}.py"] = "\n".join([*lines, ""]).encode()
    staged["manifest.json"] = msgspec.json.encode(plan.job.manifest, order="deterministic")
    return staged


def _key(staged: dict[str, bytes]) -> str:
    digest = hashlib.sha256(version("componentize-py").encode())
    for path, content in sorted(staged.items()):
        digest.update(f"\0{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _build_into(kept: Path, staged: dict[str, bytes], plan: Plan, time_limit_s: float) -> None:
    with tempfile.TemporaryDirectory(prefix="mvm-ci-build-") as directory:
        root = Path(directory)
        for path, content in staged.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        (root / _PACKAGES).mkdir(parents=True, exist_ok=True)
        component = root / "component.wasm"
        _componentize(root, component, plan, time_limit_s)
        data = with_manifest(component.read_bytes(), plan.job.manifest)
    inspect(data)
    partial = kept.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(data)
    partial.replace(kept)


def _componentize(root: Path, component: Path, plan: Plan, time_limit_s: float) -> None:
    command = [sys.executable, "-I", "-c", _COMPONENTIZE, "-q", "-d", "wit", "-w", "job", "componentize"]
    command += ["-p", _OWN, _ENTRY, "-o", component.name]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    # It gives the guest, to read and to write, the packages of a Python that it finds: let it find these.
    environment["VIRTUAL_ENV"] = str(root / _ENVIRONMENT)
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
        raise _failure((done.stdout + done.stderr).decode(errors="replace"), plan)


def _failure(text: str, plan: Plan) -> BadInput:
    """Why the build failed: nearly always the job's own code or that of its packages, which is executed up to
    its end when it is imported.
    """
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", text)
    places = plan.analysis.places
    if missing is not None and missing[1] in places:
        return BadInput(f"{places[missing[1]]}: there is no module {missing[1]} in a guest")
    raised = re.findall(r"(?m)^\s*([\w.]+(?:Error|Exception|Exit|Interrupt)\b.*)$", text)
    frames = re.findall(r'File "/(\d+)/([^"]+)", line (\d+)', text)
    own = [f"{path}:{line}" for mount, path, line in frames if mount == "0" and not path.startswith(_RUNTIME)]
    if raised and own:
        mount, path, line = frames[-1]
        owner = plan.packages.owners.get(path) if mount == "1" else None
        inside = f" (in {owner}, {path}:{line})" if owner is not None else ""
        return BadInput(f"{own[-1]}: importing the job failed: {raised[-1].strip()}{inside}")
    return BadInput(f"componentize-py failed: {' '.join(text.split())[-_COMPLAINT_CHARS:]}")


def _write(output: Path, data: bytes) -> None:
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(output)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BadInput(f"{output}: cannot be written: {error.strerror}") from error
