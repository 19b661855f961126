# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "fault-steps"
# ///
"""Does what its input says, step by step."""

import time
import urllib.request
from typing import Any


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
        elif kind in {"get", "post"}:
            data = b"data" if kind == "post" else None
            with urllib.request.urlopen(urllib.request.Request(argument, data), timeout=60) as answer:
                results.append(len(answer.read()))
    return results
