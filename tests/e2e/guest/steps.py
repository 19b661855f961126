# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "steps"
# ///
"""Does what its input says, step by step: [["print", "text"], ["get", "url"], ["sleep", 60], ["raise", "text"],
["digest", "/path"]]."""

import hashlib
import time
import urllib.request
from typing import Any


def run(steps: list[tuple[str, Any]]) -> list[str]:
    results = []
    for kind, argument in steps:
        if kind == "print":
            print(argument)
        elif kind == "sleep":
            time.sleep(argument)
        elif kind == "get":
            with urllib.request.urlopen(argument, timeout=60) as answer:
                results.append(answer.read().decode())
        elif kind == "digest":
            with open(argument, "rb") as file:
                results.append(hashlib.file_digest(file, "sha256").hexdigest())
        elif kind == "raise":
            raise ValueError(argument)
    return results
