# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "family"
# ///
"""Jobs that have to do with each other: parents and children, senders and a collector, one that asks outside."""

import json
import time
import urllib.request
from typing import Any

import mvm_ci

host: Any = mvm_ci  # in a guest this is another module than here


def run(given: dict[str, Any]) -> Any:
    return ROLES[given["role"]](given)


def parent(given: dict[str, Any]) -> Any:
    """Starts children and waits for all of them."""
    numbers = range(given["children"])
    children = host.start_all([{"role": "child", "number": n, "sleep": given["sleep"]} for n in numbers])
    host.progress("started", 0, len(children))
    return host.gather(*children)


def child(given: dict[str, Any]) -> Any:
    time.sleep(given["sleep"] * (given["number"] % 5))
    return given["number"] ** 2


def collector(given: dict[str, Any]) -> list[Any]:
    """What it got, in the order in which it got it."""
    return [host.receive("item").body for _ in range(given["count"])]


def sender(given: dict[str, Any]) -> None:
    for number in range(given["count"]):
        host.send(given["to"], [given["name"], number], type="item")
        time.sleep(0.05)


def asker(given: dict[str, Any]) -> Any:
    """Tells the outside how to answer it, and waits for that."""
    promise = host.promise("an answer")
    told = json.dumps({"url": promise.url, "token": promise.token}).encode()
    urllib.request.urlopen(urllib.request.Request(given["web"], told, method="POST"), timeout=60).read()
    return promise.result()


ROLES = {"parent": parent, "child": child, "collector": collector, "sender": sender, "asker": asker}
