# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "pipeline"
# ///
"""A child for each number that a message brings, three at a time, until a message says stop."""

import asyncio

import mvm_ci


async def square(number, limit, results):
    async with limit:
        async with asyncio.timeout(60):
            results[number] = await mvm_ci.start({"square": number})
    mvm_ci.progress("squares", len(results))


async def run(input):
    if input and "square" in input:
        await asyncio.sleep(0.1)
        return input["square"] ** 2
    limit, results = asyncio.Semaphore(3), {}
    async with asyncio.TaskGroup() as tasks:
        async for message in mvm_ci.messages("number", "stop"):
            if message.type == "stop":
                break
            tasks.create_task(square(message.body, limit, results))
    return sorted(results.values())
