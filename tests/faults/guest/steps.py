# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "fault-steps"
# ///
"""Does what its input says, step by step."""

import time
import urllib.error
import urllib.request
from typing import Any

import mvm_ci

host: Any = mvm_ci  # in a guest this is another module than here


def run(steps: list[tuple[str, Any]]) -> list[Any]:
    results: list[Any] = []
    for kind, argument in steps:
        if kind == "lines":
            for number in range(argument):
                print(f"{number:06d} {'z' * 1000}")
        elif kind == "sleep":
            time.sleep(argument)
        elif kind == "bytes":
            results.append("r" * argument)
        elif kind == "length":
            results.append(len(argument))
        elif kind == "count":
            total = 0
            for number in range(argument):
                total += number
            results.append(total)
        elif kind == "clock":
            results.append(time.time())
        elif kind == "annotate":
            host.metadata(stage=argument)
        elif kind == "receive":
            results.append(host.receive(argument).body)
        elif kind in {"get", "post", "put"}:
            results.append(ask(kind, argument))
    return results


def ask(kind: str, url: str) -> int | str:
    """The answer's length, or that nobody knows whether the request arrived."""
    request = urllib.request.Request(url, None if kind == "get" else b"data", method=kind.upper())
    if kind == "put":
        request.idempotent = True  # type: ignore[attr-defined]
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return len(answer.read())
    except urllib.error.URLError as error:
        if isinstance(error.reason, InterruptedError):
            return "interrupted"
        raise
