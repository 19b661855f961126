# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "hostile"
# ///
"""A guest that does what a bad one may do, and one that works beside it: the input says which."""

import hashlib
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request

import mvm_ci


def neighbour(url):
    """Does a bit of everything that guests do."""
    numbers = list(range(20_000))
    first = hashlib.sha256(repr(numbers).encode()).hexdigest()
    before = time.monotonic()
    with urllib.request.urlopen(url, timeout=300) as answer:
        said = answer.read().decode()
    time.sleep(0.003)
    slept = time.monotonic() - before >= 0.003
    random.shuffle(numbers)
    print("worked")
    second = hashlib.sha256(repr(sorted(numbers)).encode()).hexdigest()
    return [first == second, said, slept]


def spin(_):
    while True:
        pass


def catch_everything(_):
    """Tries to survive whatever is done to it."""
    while True:
        try:
            time.time()
            sum(range(10_000))
        except BaseException:
            pass
        finally:
            pass


def recurse(n):
    return recurse(n + 1)


def recurse_without_limit(_):
    sys.setrecursionlimit(1_000_000_000)

    def down(n):
        return [down(n + 1)]

    return down(0)


def allocate(_):
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


def read_clocks(times):
    for _ in range(times):
        time.time()


def sleep(seconds):
    time.sleep(seconds)
    return "slept"


def sleep_often(times):
    for _ in range(times):
        time.sleep(1e-9)


def remember(times):
    for number in range(times):
        mvm_ci.calls.host.call("memo.get", json.dumps({"name": f"{number}" + "x" * 100}))


def flood(lines):
    line = "f" * 1_000
    for _ in range(lines):
        print(line)


def write(text):
    print(text, end="")


def write_bytes(hexadecimal):
    os.write(1, bytes.fromhex(hexadecimal))


def nothing_but_zeros(size):
    return "\0" * size


def nested(depth):
    result = 1
    for _ in range(depth):
        result = [result]
    return result


def not_json(_):
    return {"an": object()}


def not_a_number(_):
    return float("nan")


def surrogate(_):
    return "\ud800"


def fail_at_length(size):
    raise ValueError("e" * size)


def exit_hard(status):
    os._exit(status)


def abort(_):
    os.abort()


def call(argument):
    name, size, depth = argument
    value = "[" * depth + "]" * depth if depth else json.dumps("v" * size)
    return json.loads(mvm_ci.calls.host.call(name, '{"name": "n", "value": ' + value + "}"))


def ask(argument):
    """A request document of our own making."""
    piece, times, tail = argument
    return json.loads(mvm_ci.calls.host.http(piece * times + tail))


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return len(answer.read())
    except urllib.error.URLError as error:
        return f"{type(error.reason).__name__}: {error.reason}"


def memo(name):
    return mvm_ci.memo(name, lambda: 1)


def run(input):
    return globals()[input["do"]](input.get("argument"))
