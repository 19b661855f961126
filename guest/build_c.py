"""Builds C guests with the C compiler of the ``ziglang`` package.

``python guest/build_c.py guest/examples/hello.c hello.wasm``, or ``build_c`` from tests and benchmarks. Results are kept
under the user's cache directory by the content of the source, the header and the compiler's version.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HEADERS = Path(__file__).resolve().parent / "c"
FLAGS = (
    *("-target", "wasm32-wasi", "-O2", "-s", "-mexec-model=reactor"),
    # A small stack keeps the memory small that each run has to clear.
    "-Wl,-z,stack-size=65536",
)


def build_c(source: Path, flags: tuple[str, ...] = FLAGS) -> Path:
    """The module built from ``source``. Raises ``RuntimeError`` with the compiler's messages."""
    parts = [source.read_bytes(), *(header.read_bytes() for header in sorted(HEADERS.glob("*.h")))]
    key = hashlib.sha256(b"\0".join([*parts, repr(flags).encode(), version("ziglang").encode()])).hexdigest()[:24]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mvm-ci" / "c-guests"
    target = cache / f"{source.stem}-{key}.wasm"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    command = [sys.executable, "-m", "ziglang", "cc", *flags, "-I", str(HEADERS), "-o", str(partial), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{source} does not compile:\n{done.stderr}")
    partial.replace(target)
    return target


def main(arguments: list[str]) -> int:
    """Builds the first argument into the second."""
    if len(arguments) != 2:
        print("usage: build_c.py SOURCE.c TARGET.wasm", file=sys.stderr)
        return 2
    shutil.copyfile(build_c(Path(arguments[0])), arguments[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
