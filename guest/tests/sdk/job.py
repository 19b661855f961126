# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "sdk"
# allow-hosts = ["*"]
# ///
"""The module ``mvm_ci`` in use: the input says which function to call."""

import asyncio
import random
import time

import mvm_ci


def children(each):
    return mvm_ci.start_all([{"takes": takes} for takes in each])


def failed(error):
    return {"kind": error.kind, "message": str(error), "of": repr(error.of)}


def gathers(each):
    return mvm_ci.gather(*children(each))


def gather_fails(each):
    started = children(each)
    before = time.monotonic()
    try:
        mvm_ci.gather(*started)
    except mvm_ci.Failed as error:
        said = failed(error)
    seconds = time.monotonic() - before
    left = [child for child in started if not child.done]
    return {**said, "after": seconds, "left": len(left), "results": mvm_ci.gather(*left)}


def gather_all(each):
    results = mvm_ci.gather(*children(each), return_exceptions=True)
    return [failed(one) if isinstance(one, mvm_ci.Failed) else one for one in results]


def completed(each):
    return [child.result() for child in mvm_ci.as_completed(*children(each))]


def times_out(seconds):
    child, inbox = mvm_ci.start({"takes": 100}), mvm_ci.messages("never")
    said = {}
    for name, wait in {
        "result": lambda: child.result(timeout=seconds),
        "gather": lambda: mvm_ci.gather(child, timeout=seconds),
        "first": lambda: mvm_ci.first(child, inbox, timeout=seconds),
        "receive": lambda: mvm_ci.receive("never", timeout=seconds),
        "inbox": lambda: inbox.receive(timeout=seconds),
    }.items():
        try:
            said[name] = wait()
        except TimeoutError as error:
            said[name] = f"TimeoutError: {error}"
    return {**said, "done": child.done, "result": child.result(), "done now": child.done}


def too_many(argument):
    started = children([100] * 1001)
    said = []
    for wait in (lambda: mvm_ci.gather(*started, timeout=0), lambda: mvm_ci.first(*started), lambda: asyncio.run(together(started))):
        try:
            wait()
        except Exception as error:
            said.append(str(error))
    return said


async def together(awaitables):
    return await asyncio.gather(*awaitables)


def mix(argument):
    """Whatever comes first of a child, a promise and two types of messages."""
    child, promise, inbox = mvm_ci.start({"takes": 4}), mvm_ci.promise("2"), mvm_ci.messages("a", "b")
    waitables, found = [child, promise, inbox], []
    while len(found) < 5:
        one = mvm_ci.first(*waitables)
        if one is inbox:
            message = inbox.receive(timeout=0)
            found.append([message.type, message.body])
        else:
            waitables.remove(one)
            found.append([type(one).__name__, one.result()])
    return [*found, len(promise.token), promise.url]


def same_child(argument):
    child = mvm_ci.start({"takes": 2})
    again = mvm_ci.Child(child.id)
    return [mvm_ci.gather(child, again, child), again.done, mvm_ci.first(again) is again]


def iterates(count):
    found = []
    for message in mvm_ci.messages("a"):
        found.append(message.body)
        if len(found) == count:
            return found


def refused(argument):
    said = {}
    for name, call in {
        "option": lambda: mvm_ci.start(1, strange=True),
        "topic": lambda: mvm_ci.receive("x" * 200),
        "progress": lambda: mvm_ci.progress("x" * 300),
        "continue": lambda: mvm_ci.continue_as_new({1, 2}),
        "nothing": lambda: mvm_ci.first(),
    }.items():
        try:
            call()
        except (mvm_ci.CallError, TypeError, ValueError) as error:
            said[name] = [getattr(error, "kind", type(error).__name__), str(error)]
    return said


def tells(argument):
    mvm_ci.progress("half", 1, 2)
    mvm_ci.metadata(customer="7", stage=None)
    mvm_ci.send("job-key", {"a": 1}, type="hello")
    mvm_ci.Child("j0000000000000").cancel()
    return [mvm_ci.start_all([]), mvm_ci.job().id, mvm_ci.job().attempt, len(mvm_ci.job().module), repr(mvm_ci.job())]


def goes_on(input):
    mvm_ci.continue_as_new({"round": input})


async def async_mix(argument):
    """A message that comes while its receiver is cancelled is not lost."""
    inbox = mvm_ci.messages("a")
    try:
        async with asyncio.timeout(1):
            await inbox.receive_async()
    except TimeoutError:
        pass
    child = mvm_ci.start({"takes": 3})
    waits = [asyncio.ensure_future(one) for one in (child, child, mvm_ci.receive_async("b"), mvm_ci.receive_async("b"))]
    done, _ = await asyncio.wait(waits, timeout=30, return_when=asyncio.FIRST_EXCEPTION)
    other = await asyncio.gather(*waits, return_exceptions=True)
    return [len(done), *[failed(one) if isinstance(one, mvm_ci.Failed) else one.body for one in other]]


async def sync_in_async(argument):
    """Blocking waits take what others await, and wake them."""
    child = mvm_ci.start({"takes": 2})
    task = asyncio.ensure_future(child)
    await asyncio.sleep(0)
    return [child.result(), await task]


async def polls(argument):
    """A loop that is never idle sees mail and timers all the same."""
    turns, task = 0, asyncio.ensure_future(mvm_ci.receive_async("a"))
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    try:
        async with asyncio.timeout(0):
            while True:
                turns += 1
                await asyncio.sleep(0)
    except TimeoutError:
        return [task.result().body, turns > 1000]


async def never(argument):
    await asyncio.Event().wait()


async def async_fails(argument):
    async def inner():
        await asyncio.sleep(1)
        raise LookupError("deep inside")

    await asyncio.gather(inner(), asyncio.sleep(100))


async def unhandled(argument):
    async def alone():
        raise LookupError("nobody waits for it")

    task = asyncio.create_task(alone())
    await asyncio.sleep(1)
    del task


async def many_timers(count):
    async def one(number):
        try:
            async with asyncio.timeout(1000 + number):
                await asyncio.sleep(number % 7)
        except TimeoutError:
            return "too late"
        return number

    return sum(await asyncio.gather(*map(one, range(count))))


async def async_all_kinds(argument):
    """What of asyncio is no socket, process or thread."""
    gate, lock, queue, barrier = asyncio.Event(), asyncio.Lock(), asyncio.Queue(1), asyncio.Barrier(2)
    found = []

    async def produce():
        for number in range(3):
            async with lock:
                await queue.put(number)
        gate.set()
        await barrier.wait()

    async def generate():
        for number in range(3):
            yield number
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        for _ in range(3):
            found.append(await queue.get())
        await gate.wait()
        await barrier.wait()
    async with asyncio.Semaphore(1):
        found += [number async for number in generate()]
    found.append(await asyncio.wait_for(asyncio.shield(asyncio.sleep(1, "shielded")), 5))
    for future in asyncio.as_completed([asyncio.sleep(2, "second"), asyncio.sleep(1, "first")]):
        found.append(await future)
    found.append(await asyncio.to_thread(sum, [1, 2]))
    found.append(await asyncio.get_running_loop().run_in_executor(None, sum, [3, 4]))
    return found


def runner(argument):
    """``asyncio.run`` in an ordinary ``run``, twice."""
    return [asyncio.run(asyncio.sleep(1, 1)), asyncio.run(sync_in_async(None))]


def request(argument):
    method, url, options = argument
    retry = options.pop("retry", None)
    if retry is not None:
        options["retry"] = mvm_ci.http.Retry(**retry)
    try:
        response = mvm_ci.http.request(method, url, **options)
    except mvm_ci.http.RequestError as error:
        builtin = [kind.__name__ for kind in (TimeoutError, InterruptedError) if isinstance(error, kind)]
        return {"kind": error.kind, "message": str(error), "builtin": builtin}
    return {"status": response.status_code, "text": response.text, "at": time.monotonic(), "drawn": random.random()}


def response(url):
    answer = mvm_ci.http.get(url)
    try:
        answer.raise_for_status()
    except mvm_ci.http.StatusError as error:
        raised = [str(error), error.response is answer]
    try:
        answer.headers["missing"]
    except KeyError:
        missing = answer.headers.get("missing", 5)
    return {
        "ok": answer.ok,
        "json": answer.json(),
        "content": len(answer.content),
        "raised": raised,
        "missing": missing,
        "type": answer.headers["content-TYPE"],
        "cookies": answer.headers.get_all("Set-Cookie"),
        "joined": answer.headers["set-cookie"],
        "names": list(answer.headers),
        "in": "x-a" in answer.headers,
        "repr": repr(answer),
        "url": answer.url,
    }


def verbs(url):
    http = mvm_ci.http
    answers = [http.get(url), http.post(url, json=[1]), http.put(url, data="ä"), http.delete(url)]
    return [answer.raise_for_status().text for answer in answers]


def run(input):
    return globals()[input["do"]](input.get("argument"))
