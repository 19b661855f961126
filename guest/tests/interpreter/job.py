# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "interpreter"
# allow-hosts = ["127.0.0.1:*"]
# ///
"""Carries out a program: its input is a list of steps, its result the list of what they gave."""

import random
import time
import urllib.error
import urllib.request

import mvm_ci


def run(input):
    return [step(input, *one) for one in input["steps"]]


def step(input, name, *arguments):
    return STEPS[name](input, *arguments)


def clock(_input):
    before = time.monotonic()
    time.time()
    return before <= time.monotonic()


def chance(_input):
    return 0 <= random.random() < 1


def sleep(_input, ms):
    before = time.monotonic()
    time.sleep(ms / 1000)
    return time.monotonic() - before >= ms / 1000


def get(input, path):
    with urllib.request.urlopen(input["url"] + path) as answer:
        return answer.read().decode()


def post(input, path):
    try:
        with urllib.request.urlopen(urllib.request.Request(input["url"] + path, b"x")) as answer:
            return answer.read().decode()
    except urllib.error.URLError as error:
        return "interrupted" if isinstance(error.reason, InterruptedError) else str(error)


def say(_input, text):
    print(text)
    return text


def memo(input, name, steps):
    return mvm_ci.memo(name, lambda: [step(input, *one) for one in steps])


def all_of(input, programs):
    inputs = [{"url": input["url"], "steps": steps} for steps in programs]
    children = mvm_ci.start_all(inputs)
    found = []
    for child in children:
        try:
            found.append(child.result())
        except mvm_ci.Failed as error:
            found.append({"failed": error.kind})
    return found


def first_of(input, programs):
    children = [mvm_ci.start({"url": input["url"], "steps": steps}) for steps in programs]
    ended = mvm_ci.first(*children)
    mvm_ci.gather(*children)
    return [children.index(ended), ended.result()]


def cancelled(input, steps):
    child = mvm_ci.start({"url": input["url"], "steps": [*steps, ["sleep", 600_000]]})
    child.cancel()
    try:
        return child.result()
    except mvm_ci.Failed as error:
        return {"failed": error.kind}


def send(_input, to, count):
    for number in range(count):
        mvm_ci.send(to, [mvm_ci.job().id, number], type="numbers")
    return count


def receive(_input, count):
    got = [mvm_ci.receive("numbers").body for _ in range(count)]
    return sorted(number for _, number in got)


def patience(_input, ms):
    return mvm_ci.receive("never", timeout=ms / 1000)


def tell(_input, text):
    mvm_ci.progress(text, 1, 2)
    return text


def label(_input, value):
    mvm_ci.metadata(label=value)
    return value


def fail(_input, message):
    raise ValueError(message)


def again(input, times):
    if times:
        mvm_ci.continue_as_new({**input, "steps": [["again", times - 1]]})
    return "done"


STEPS = {
    "clock": clock,
    "chance": chance,
    "sleep": sleep,
    "get": get,
    "post": post,
    "say": say,
    "memo": memo,
    "all": all_of,
    "first": first_of,
    "cancelled": cancelled,
    "send": send,
    "receive": receive,
    "patience": patience,
    "tell": tell,
    "label": label,
    "fail": fail,
    "again": again,
}
