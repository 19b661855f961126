"""``mvm_ci.client.blocking``, the client without asyncio, made of the one with it, file by file.

After a change to the client: ``python -m tests.unit.client.blocking_twin``. A test fails until the files are
as this program makes them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[3] / "src" / "mvm_ci" / "client"
TWIN = SOURCE / "blocking"
NOTE = "# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/{name}: change that one.\n"
WORDS = (
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsync(Client|BaseTransport)\b", r"\1"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"\bAwaitable, ", ""),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\.a(close|read|iter_lines|iter_bytes)\(", r".\1("),
    (r"\basyncio\.to_thread\(([\w.]+), ", r"\1("),
    (r"\basyncio\.get_running_loop\(\)\.time\b", "time.monotonic"),
    (r"\basyncio\b", "time"),
    (r"An async context", "A context"),
)
FIX = ["check", "--quiet", "--fix", "--unsafe-fixes", "--select", "F401,I,UP028,UP034"]
FIX += ["--config", 'lint.isort.known-first-party=["mvm_ci"]']


def made() -> dict[str, str]:
    """The files of the twin by name."""
    sources = {file.name: file.read_text() for file in sorted(SOURCE.glob("*.py"))}
    waiting = {
        name: text for name, text in sources.items() if re.search(r"\basync\b|\bAsync\w", text) is not None
    }
    waiting.pop("__init__.py")
    waiting.pop("by_ticket.py")  # the peers' network is there for asyncio alone
    waiting.pop("removal.py")  # of our own tools, not of the client's interface
    files = {"__init__.py": '"""The client without asyncio."""\n'}
    for name, text in waiting.items():
        files[name] = NOTE.format(name=name) + _formatted(_translated(text, waiting))
    return files


def _translated(text: str, names: dict[str, str]) -> str:
    for pattern, instead in WORDS:
        text = re.sub(pattern, instead, text)
    modules = "|".join(name.removesuffix(".py") for name in names)
    return re.sub(rf"\bmvm_ci\.client\.({modules})\b", r"mvm_ci.client.blocking.\1", text)


def _formatted(text: str) -> str:
    for command in (FIX, ["format"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TWIN / "made.py"), "-"],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    files = made()
    TWIN.mkdir(exist_ok=True)
    for file in TWIN.glob("*.py"):
        file.unlink()
    for name, text in files.items():
        (TWIN / name).write_text(text)
