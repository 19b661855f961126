"""Logs: JSON lines, levels, and no secret."""

from __future__ import annotations

import json
import subprocess
import sys

LINES = """
import logging, structlog
from mvm_ci.logs import configure_logs
configure_logs({level!r}, {form!r})
log = structlog.get_logger()
log.debug("hidden")
log.info("joined", token="mvm_join_abc-DEF_123", nested=dict(header="Bearer mvm_api_xyz9"), number=3)
logging.getLogger("httpx").info("hidden")
logging.getLogger("httpx.transport").warning("with %s", "mvm_api_xyz9")
try:
    local = "key_of_" + "nobody"
    raise ValueError("mvm_api_xyz9 in an error")
except ValueError:
    log.exception("failed")
"""


def logged(level: str = "info", form: str = "auto") -> str:
    code = LINES.format(level=level, form=form)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == ""
    assert "xyz9" not in done.stderr
    assert "DEF_123" not in done.stderr
    return done.stderr


def test_json_lines_where_there_is_no_terminal() -> None:
    joined, foreign, failed = (json.loads(line) for line in logged().splitlines())
    assert list(joined)[:3] == ["timestamp", "level", "event"]
    assert joined["token"] == "mvm_join_[redacted]"
    assert joined["nested"] == {"header": "Bearer mvm_api_[redacted]"}
    assert foreign["event"] == "with mvm_api_[redacted]"
    assert "ValueError: mvm_api_[redacted] in an error" in failed["exception"]


def test_for_people() -> None:
    text = logged(form="human")
    assert "joined" in text
    assert "mvm_join_[redacted]" in text
    assert "ValueError: mvm_api_[redacted] in an error" in text
    assert "key_of_nobody" not in text


def test_levels() -> None:
    assert "hidden" in logged("debug")
    assert len(logged("error").splitlines()) == 1
