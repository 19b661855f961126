"""What a cluster needs before it is loaded: the guest, and how fast its workers compute."""

import asyncio
import time
from typing import Final

import msgspec

from mvm_ci.domain.errors import ProtocolError, Unavailable
from mvm_ci.loadtest import steps
from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.jobs import Jobs, check
from mvm_ci.loadtest.profiles import Kind, Profile
from mvm_ci.wire import api

_TRIES: Final = 5
"""The fastest counts: all else only makes a job slower."""
_FEW: Final = 1_000_000
_LONG_S: Final = 0.05
"""Work that takes so much longer than none tells the speed well enough."""
_MOST: Final = 1 << 40
_PRIMING: Final = 4
"""Jobs for each worker: more than it asks for at first."""
_BATCH: Final = 1_000


async def push_guest(channel: Channel) -> str:
    """Stores the guest; its digest."""
    request = channel.request("POST", "/v1/modules", steps.module(), "application/wasm")
    try:
        return msgspec.json.decode(await channel.send(request), type=api.ModuleView).digest
    except msgspec.DecodeError as error:
        raise ProtocolError(f"{channel.url} answers what this version does not understand: {error}") from None


async def calibrate(channel: Channel, module: str, queue: str) -> float:
    """Turns of the guest that a worker computes in a millisecond, while it has nothing else to do: the
    difference between jobs of little and of much work. Raises ``Unavailable`` if a job fails.
    """
    few = await _fastest(channel, module, queue, 1)
    turns = _FEW
    while (took := await _fastest(channel, module, queue, turns) - few) < _LONG_S and turns < _MOST:
        turns *= 4
    return turns / (took * 1000)


async def prime(channel: Channel, module: str, queue: str, workers: int) -> None:
    """Has every worker run jobs that do nothing: one that never ran any asks for a few at once, and would
    have those of the first load one after the other.
    """
    profile = Profile(name="priming", kinds=(Kind(1, ()),))
    wanted = _PRIMING * workers
    batches = [min(_BATCH, wanted - at) for at in range(0, wanted, _BATCH)]
    jobs = [Jobs(channel, profile, module, batch=batch, queue=queue).next() for batch in batches]
    # All at once, so that nobody is left out who asks for some.
    answers = await asyncio.gather(*(channel.send(one.request) for one in jobs))
    for work, answer in zip(jobs, answers, strict=True):
        checked = check(work, answer)
        if checked.failed:
            raise Unavailable(f"a job that does nothing failed: {checked.why}; do the workers take jobs?")


async def _fastest(channel: Channel, module: str, queue: str, turns: int) -> float:
    """Seconds."""
    profile = Profile(name="calibration", kinds=(Kind(1, (steps.Step("c", turns),)),))
    # One turn in a "millisecond": the number of the step is the number of turns.
    work = Jobs(channel, profile, module, turns_per_ms=1, queue=queue).next()
    best = float("inf")
    for _ in range(_TRIES):
        began = time.perf_counter()
        checked = check(work, await channel.send(work.request))
        best = min(best, time.perf_counter() - began)
        if checked.failed:
            raise Unavailable(f"a job of the calibration failed: {checked.why}; does a worker take jobs?")
    return best
