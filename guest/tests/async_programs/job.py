# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "async-programs"
# allow-hosts = ["*"]
# ///
"""Does what its input says, with ``asyncio``: a tree of things to do at once or one after the other.

Whatever happens is printed and returned, in the order in which it happens.
"""

import asyncio
import random
import time

import mvm_ci

happened = []
lock = asyncio.Lock()


def note(place, what):
    line = f"{place} {what}"
    happened.append(line)
    print(line)


def shown(outcomes):
    return [str(one) if isinstance(one, BaseException) else one for one in outcomes]


async def sleep(place, seconds):
    await asyncio.sleep(seconds)
    return "slept"


async def yields(place, times):
    for _ in range(times):
        await asyncio.sleep(0)
    return "yielded"


async def child(place, takes):
    return await mvm_ci.start({"takes": takes})


async def children(place, each):
    return shown(await asyncio.gather(*mvm_ci.start_all([{"takes": takes} for takes in each]), return_exceptions=True))


async def promise(place, takes):
    made = mvm_ci.promise(str(takes))
    return [await made, made.token[:4]]


async def message(place, type):
    received = await mvm_ci.receive_async(type)
    return [received.type, received.body]


async def messages(place, type, count):
    found = []
    async for received in mvm_ci.messages(type, "other"):
        found.append(received.body)
        if len(found) == count:
            return found


async def chance(place):
    return random.random()


async def blocks(place, seconds):
    return await asyncio.to_thread(time.sleep, seconds)


async def sync(place, takes):
    return mvm_ci.start({"takes": takes}).result()


async def get(place, number):
    return mvm_ci.http.get("http://outside.example/", params={"number": number}).text


async def fails(place):
    raise ValueError(place)


async def one_by_one(place, nodes):
    return [await do(f"{place}.{number}", node) for number, node in enumerate(nodes)]


async def together(place, nodes):
    jobs = [do(f"{place}.{number}", node) for number, node in enumerate(nodes)]
    return shown(await asyncio.gather(*jobs, return_exceptions=True))


async def group(place, nodes):
    try:
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(do(f"{place}.{number}", node)) for number, node in enumerate(nodes)]
    except ExceptionGroup as error:
        return sorted(str(one) for one in error.exceptions)
    return [task.result() for task in made]


async def race(place, nodes):
    tasks = [asyncio.create_task(do(f"{place}.{number}", node)) for number, node in enumerate(nodes)]
    done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return [number for number, task in enumerate(tasks) if task in done]


async def timeout(place, seconds, node):
    try:
        async with asyncio.timeout(seconds):
            return await do(f"{place}.0", node)
    except TimeoutError:
        return "too long"


async def locked(place, node):
    async with lock:
        return await do(f"{place}.0", node)


async def queue(place, nodes):
    waiting = asyncio.Queue(1)

    async def produce(number, node):
        await waiting.put([number, await do(f"{place}.{number}", node)])

    async with asyncio.TaskGroup() as tasks:
        for number, node in enumerate(nodes):
            tasks.create_task(produce(number, node))
        return [await waiting.get() for _ in nodes]


async def attempt(place, node):
    try:
        return await do(f"{place}.0", node)
    except Exception as error:
        return str(error)


async def do(place, node):
    kind, *arguments = node
    try:
        value = await globals()[kind](place, *arguments)
    except BaseException as error:
        note(place, f"{kind} {type(error).__name__}")
        raise
    note(place, f"{kind} {value}")
    return value


async def run(input):
    value = await timeout("", 10_000, ["attempt", input])
    return {"value": value, "happened": happened}
