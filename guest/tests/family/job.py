# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "family"
# ///
"""A parent and its children, on a real control plane: the input says what it does."""

import asyncio
import time

import mvm_ci
from mvm_ci import http


def refusal(call):
    try:
        call()
    except mvm_ci.CallError as error:
        return [error.kind, str(error)]


def failure(pending):
    try:
        return pending.result()
    except mvm_ci.Failed as error:
        return [error.kind, error.message, error.of is pending]


def square(number, pause=0.0):
    time.sleep(pause)
    return number**2


def squares(numbers):
    return [{"do": "square", "with": {"number": number}} for number in numbers]


def sync(count):
    """What a parent sees that does one thing after the other."""
    children = mvm_ci.start_all(squares(range(count)))
    failing, slow = mvm_ci.start({"do": "square", "with": {}}), mvm_ci.start({"do": "square", "with": {"number": 1, "pause": 100}})
    said = {"results": mvm_ci.gather(*children), "again": mvm_ci.first(*children) is children[0]}
    said["failed"] = failure(failing)
    said["too slow"] = mvm_ci.first(slow, timeout=0.1)
    slow.cancel()
    said["cancelled"] = failure(slow)
    said["nothing there"] = mvm_ci.receive("me", timeout=0)
    mvm_ci.send(mvm_ci.job().id, {"self": 1}, type="me")
    said["there"] = mvm_ci.receive("me", timeout=0).body
    mvm_ci.metadata(stage="late")
    mvm_ci.progress("nearly", 1, 2)
    said["refused"] = [
        refusal(lambda: mvm_ci.start(1, max_atempts=3)),
        refusal(lambda: mvm_ci.start(1, module="nothing")),
        refusal(lambda: mvm_ci.start(1, allow_hosts=["example.org"])),
        refusal(lambda: mvm_ci.send("nobody", 1)),
        refusal(lambda: mvm_ci.Child("j0000000000000").cancel()),
        refusal(lambda: mvm_ci.promise("x" * 201)),
        refusal(lambda: mvm_ci.metadata(x="y" * 2_000)),
    ]
    return said


def get(url):
    return http.get(url, retry=http.Retry(attempts=3)).raise_for_status().text


def host(url):
    """A child of the same module may call whom its parent may."""
    return mvm_ci.start({"do": "get", "with": {"url": url}}).result()


async def everything(desk):
    """Children, a message and a promise at once; a worker may be lost meanwhile."""
    promise = mvm_ci.promise("please")
    http.post(desk, json={"url": promise.url, "token": promise.token}, idempotent=True).raise_for_status()
    children = mvm_ci.start_all([{"do": "square", "with": {"number": n, "pause": n / 4}} for n in range(8)])
    async with asyncio.TaskGroup() as group:
        results = group.create_task(together(children))
        message = group.create_task(mvm_ci.receive_async("go"))
        kept = group.create_task(keep(promise))
        group.create_task(tick())
    return [results.result(), message.result().body, kept.result()]


async def together(children):
    return await asyncio.gather(*children)


async def keep(promise):
    async with asyncio.timeout(300):
        return await promise


async def tick():
    for number in range(3):
        await asyncio.sleep(0.5)
        print(f"tick {number}")


def run(input):
    done = globals()[input["do"]](**input["with"])
    return asyncio.run(done) if asyncio.iscoroutine(done) else done
