"""Execute: one placement of a job, from its durable journal to how it ended.

The replay machine decides, the host acts, this is the loop between them, driven by the guest's calls::

    guest ── call ──▶ Calls ── asks ──▶ Replay (sans-IO)
      ▲                 │  ◀─ answer ────┘   new entries
      └──── answer ─────┤                        │
                        └── post, flush, http, wait ──▶ ExecutionHost

When entries go out: all of them whenever the guest waits; before a request leaves; with the placement's
report (its *tail*: one write for a short job); and while the guest just runs, at a call, once 32 KiB have
gathered, or if there is new text and nothing was sent for 200 ms.

Once a guest has read a secret, all that is kept of it is masked before the machine or the host sees it: its
text, result and failure; and answers to its requests, so that it is told the same at every replay.
"""

from hashlib import sha256
from typing import Final

import msgspec

from mvm_ci.domain.errors import CorruptJournal, NondeterminismDetected
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.outcome import (
    Completed,
    Failed,
    Failure,
    Outcome,
    Stopped,
)
from mvm_ci.domain.payload import BlobRef, Payload
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.domain.segment import Segment
from mvm_ci.files.given import GivenFile
from mvm_ci.journal.codec import decode
from mvm_ci.journal.entries import Placement
from mvm_ci.journal.replay import Replay
from mvm_ci.journal.steps import Identity, JournalLimits, bounded
from mvm_ci.lifecycle.calls import Calls, parked
from mvm_ci.ports.execution import ExecutionHost, Leave
from mvm_ci.ports.guest import Guest, GuestFailed, GuestLimits

_NS_PER_MS: Final = 1_000_000


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. ``journal``: all durable segments, in order; ``place``: this worker's name, for people."""

    job: JobId
    attempt: int
    epoch: int
    place: str
    module: Digest
    input: Payload
    journal: tuple[Segment, ...] = ()
    ephemeral: bool = False
    """Nothing of it is durable before it ends."""
    secrets: tuple[SecretValue, ...] = ()
    inputs: tuple[GivenFile, ...] = ()
    """Files that it is given."""


class ExecutionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """``suspend_after_ms``: a guest that sleeps longer gives its slot back."""

    guest: GuestLimits = GuestLimits()
    journal: JournalLimits = JournalLimits()
    suspend_after_ms: int = 5_000


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a placement ended. ``outcome``: None: report nothing, the job belongs to somebody else.

    ``tail``: entries that are not durable yet and must become so together with the outcome. All earlier ones
    are durable.
    """

    outcome: Outcome | None
    tail: Segment | None = None


async def execute(guest: Guest, execution: Execution, host: ExecutionHost, limits: ExecutionLimits) -> Result:
    """Runs ``guest`` until it ends, waits long, has to leave, or disagrees with its journal.

    Raises only what ``guest.run`` and ``host`` raise against their contracts.
    """
    try:
        now_ns = host.wall_ns()
        machine = _machine(execution, host, limits, now_ns)
        calls = Calls(
            machine,
            host,
            limits.guest,
            limits.suspend_after_ms,
            now_ns,
            ephemeral=execution.ephemeral,
            inputs=execution.inputs,
        )
        outcome = await run_guest(guest, execution.input, calls, limits.guest)
        if execution.ephemeral and not isinstance(outcome, Completed | Failed):
            return Result(outcome=outcome)
        return Result(outcome=outcome, tail=await calls.tail())
    except (CorruptJournal, NondeterminismDetected) as error:
        return Result(outcome=parked(error))
    except Leave as leave:
        return Result(outcome=leave.outcome)


def _machine(execution: Execution, host: ExecutionHost, limits: ExecutionLimits, now_ns: int) -> Replay:
    placement = Placement(execution.epoch, execution.place, now_ns // _NS_PER_MS)
    identity = identity_of(execution)
    if not execution.journal:
        return Replay.begin(
            identity,
            placement,
            limits.journal,
            seed=host.random_seed(),
            now_ns=now_ns,
            ephemeral=execution.ephemeral,
        )
    return Replay.resume(
        identity,
        placement,
        limits.journal,
        recorded=decode(execution.journal),
        recorded_bytes=sum(len(segment.data) for segment in execution.journal),
    )


def identity_of(execution: Execution) -> Identity:
    """What its journal must be of."""
    return Identity(
        job=execution.job,
        attempt=execution.attempt,
        module=execution.module,
        input=payload_digest(execution.input),
        secrets=execution.secrets,
    )


def payload_digest(payload: Payload) -> Digest:
    """Of its bytes, wherever they are."""
    return payload.digest if isinstance(payload, BlobRef) else Digest(sha256(payload).hexdigest())


async def run_guest(guest: Guest, given: Payload, calls: Calls, limits: GuestLimits) -> Outcome:
    """The guest's life, and its end as an entry. Raises ``Leave`` where nothing is to be reported."""
    try:
        result: bytes | Failure
        try:
            result = await guest.run(await calls.load(given), calls, limits)
        except GuestFailed as failed:
            result = failed.failure
        calls.tell_rest()
    except Leave as leave:
        if leave.outcome is None:
            raise
        if isinstance(leave.outcome, Failed):
            calls.machine.abandon(leave.outcome.failure)
        return leave.outcome
    disclosed = calls.machine.disclosed
    if isinstance(result, Failure):
        # Masked before it is cut: a half of a secret is not recognised.
        failure = bounded(disclosed.failure(result))
        calls.machine.finish(failure)
        return Failed(failure)
    kept = await calls.store(disclosed.json(result))
    calls.machine.finish(kept)
    # Whoever was told to end, and did so well, has not completed what the job was for.
    return Stopped() if calls.machine.was_cancelled else Completed(kept)
