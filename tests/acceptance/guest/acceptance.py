# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "acceptance"
# ///
"""Does what its input says, step by step: [["sleep", 1], ["post", "http://..."], ...]."""

import random
import time
import urllib.error
import urllib.request
import uuid
from typing import Any

import mvm_ci

host: Any = mvm_ci  # in a guest this is another module than here


def run(steps: list[tuple[str, Any]]) -> list[Any]:
    results: list[Any] = []
    try:
        for kind, argument in steps:
            results.append(STEPS[kind](argument))
    except host.Cancelled:
        # What it does of its own accord when it is told.
        ask("post", steps[0][1] + "/cleaned-up")
        raise
    return results


def ask(method: str, url: str) -> int | str:
    """The status, or that nobody knows whether the request arrived."""
    request = urllib.request.Request(url, None if method == "get" else b"data", method=method.upper())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.URLError as error:
        if isinstance(error.reason, InterruptedError):
            return "interrupted"
        raise


def compute(number: int) -> int:
    total = 0
    for one in range(number):
        total += one
    return total


def chance(_: object) -> list[Any]:
    """Recorded once, whatever happens."""
    return [random.random(), str(uuid.uuid4()), time.time()]


def children(given: list[Any]) -> list[Any]:
    """Starts a child for each list of steps and waits for all of them."""
    return list(host.gather(*host.start_all(given)))


def put(given: list[str]) -> str:
    name, text = given
    return str(host.put_artifact(name, text * 1000).digest)


def fail(text: str) -> None:
    raise ValueError(text)


def promise(url: str) -> Any:
    """Tells the outside how to answer it, and waits for that."""
    made = host.promise("an answer")
    request = urllib.request.Request(url, f"{made.url} {made.token}".encode(), method="POST")
    urllib.request.urlopen(request, timeout=60).read()
    return made.result()


def first_time(url: str) -> str:
    """Fails in its first attempt."""
    if host.job().attempt == 1:
        raise RuntimeError(url)
    return "well"


STEPS: dict[str, Any] = {
    "print": print,
    "sleep": time.sleep,
    "get": lambda url: ask("get", url),
    "post": lambda url: ask("post", url),
    "compute": compute,
    "chance": chance,
    "children": children,
    "receive": lambda kind: host.receive(kind).body,
    "put": put,
    "read": lambda name: host.get_artifact(name).text()[:20],
    "promise": promise,
    "secret": lambda name: len(host.secret(name)),
    "progress": lambda text: host.progress(text, 1, 2),
    "fail": fail,
    "first": first_time,
    "spin": lambda _: compute(10**12),
    "here": lambda url: url,
}
