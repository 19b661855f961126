"""Random guests, rehearsed on whatever is recorded of them, and forked from there."""

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import Digest, JobId, format_job_id
from mvm_ci.domain.outcome import Completed, Parked
from mvm_ci.domain.payload import BlobRef
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import Began, Entry, Finished, HttpDone, HttpIntent, Took
from mvm_ci.journal.prefix import check_end, is_call, of_module
from mvm_ci.lifecycle.execute import Execution, ExecutionLimits, Result, execute
from mvm_ci.lifecycle.rehearse import Agrees, Departs, RehearsalHost, Verdict, rehearse
from mvm_ci.ports.guest import Guest
from mvm_ci.ports.immediate import at_once
from mvm_ci.testing.execution import MODULE, FakeHost, World
from tests.property.test_replay import (
    ENTRIES,
    Op,
    Program,
    Trouble,
    changed,
    go,
    programs,
    to_the_end,
    troubles,
    world_of,
)

NEW = JobId(7 << 40)
OTHER = Digest("0e" * 32)


def execution(entries: list[Entry], job: JobId = NEW, module: Digest = MODULE) -> Execution:
    return Execution(
        job=job, attempt=1, epoch=1, place="here", module=module, input=b"", journal=tuple(split(entries, 0))
    )


class Rehearsal:
    """What a rehearsal told besides its verdict."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.caught_up = 0
        self.wrote = ""

    def run(self, guest: Guest, entries: list[Entry]) -> Verdict:
        host = RehearsalHost(lambda: self.world.now_ns, self._blob, self._caught_up, self._write)
        limits = ExecutionLimits(suspend_after_ms=10_000)
        return at_once(rehearse(guest, execution(entries, module=OTHER), host, limits))

    async def _blob(self, ref: BlobRef) -> bytes:
        return self.world.get_blob(ref)

    def _caught_up(self) -> None:
        self.caught_up += 1

    def _write(self, stream: str, text: str) -> None:
        self.wrote += text


@given(programs, troubles(max_downtime_ms=500), st.data())
def test_a_guest_agrees_with_every_beginning_of_its_journal_and_does_nothing(
    ops: list[Op], plan: list[Trouble], data: st.DataObject
) -> None:
    world, program = world_of(ops), Program(ops)
    to_the_end(world, program, plan, ExecutionLimits(), lambda: None)
    entries, seen = world.entries, str(world.effects)
    count = data.draw(st.integers(1, len(entries)))
    rehearsal = Rehearsal(world)
    verdict = rehearsal.run(Program(ops), entries[:count])
    assert isinstance(verdict, Agrees)
    assert verdict.entries == count
    assert (verdict.stands == "ended") == isinstance(entries[count - 1], Finished)
    assert rehearsal.caught_up == 1
    assert world.shown.startswith(rehearsal.wrote)
    assert (world.entries, str(world.effects)) == (entries, seen)


@given(programs, st.data())
def test_another_guest_departs_where_its_replay_would_be_parked(ops: list[Op], data: st.DataObject) -> None:
    visible = [n for n, (kind, _) in enumerate(ops) if ENTRIES[kind]]
    assume(visible)
    world = world_of(ops)
    to_the_end(world, Program(ops), [], ExecutionLimits(), lambda: None)
    at = data.draw(st.sampled_from(visible))
    how = data.draw(st.sampled_from(["change", "end", "insert"]))
    other = list(ops[:at])
    if how == "change":
        other = [*ops[:at], changed(ops[at]), *ops[at + 1 :]]
    elif how == "insert":
        other = [*ops[:at], ("wall" if ops[at][0] != "wall" else "monotonic", 0), *ops[at:]]
    verdict = Rehearsal(world).run(Program(other), world.entries)
    parked = go(world, Program(other), None, ExecutionLimits())
    assert isinstance(verdict, Departs)
    assert isinstance(parked, Result)
    assert isinstance(parked.outcome, Parked)
    assert parked.outcome.failure.message == (
        f"entry {verdict.index} of the journal records {verdict.recorded}, but the guest asked for "
        f"{verdict.asked}"
    )


def may_fork(entries: list[Entry], count: int) -> bool:
    index = max(at for at, entry in enumerate(entries[:count]) if is_call(entry))
    try:
        check_end(entries[index], index, count)
    except BadInput:
        return False
    return True


@given(ops=programs, plan=troubles(max_downtime_ms=0), data=st.data(), elsewhere=st.booleans())
def test_a_fork_repeats_nothing_that_its_beginning_records_and_asks_under_keys_of_its_own(
    *, ops: list[Op], plan: list[Trouble], data: st.DataObject, elsewhere: bool
) -> None:
    world, program = world_of(ops), Program(ops)
    to_the_end(world, program, plan, ExecutionLimits(), lambda: None)
    entries = world.entries
    count = data.draw(st.sampled_from([n for n in range(1, len(entries) + 1) if may_fork(entries, n)]))
    module = OTHER if elsewhere else MODULE
    beginning = of_module(entries[:count], module)
    fork = world_of(ops)
    taken = {entry.mail.number for entry in beginning if isinstance(entry, Took) and entry.mail is not None}
    fork.mail = [(at_ns, mail) for at_ns, mail in fork.mail if mail.number not in taken]
    fork.now_ns = world.now_ns
    fork.place()
    for segment in split(beginning, 0):
        fork.append(1, segment)
    host = FakeHost(fork)
    guest = Program(ops)
    ended = at_once(
        execute(guest, replace(execution(beginning, module=module), epoch=2), host, ExecutionLimits())
    )
    host.report(ended)
    assert isinstance(ended.outcome, Completed), ended.outcome
    assert fork.entries[:count] == beginning
    assert isinstance(beginning[0], Began)
    assert beginning[0].module == module
    done = [entry.request for entry in beginning if isinstance(entry, HttpDone)]
    assert len(guest.trace) == len(ops)
    asked = sum(kind in {"get", "post"} for kind, _ in ops)
    assert sum(map(len, fork.effects.values())) == asked - len(done)
    assert all(key.startswith(f"{format_job_id(NEW)}-1-") for key in fork.effects)
    assert not fork.effects.keys() & world.effects.keys()


@given(programs, troubles(max_downtime_ms=0))
def test_a_fork_may_begin_everywhere_but_inside_a_request_and_behind_the_end(
    ops: list[Op], plan: list[Trouble]
) -> None:
    world = world_of(ops)
    to_the_end(world, Program(ops), plan, ExecutionLimits(), lambda: None)
    entries = world.entries
    for count in range(1, len(entries) + 1):
        calls = [entry for entry in entries[:count] if is_call(entry)]
        assert may_fork(entries, count) == (not isinstance(calls[-1], HttpIntent | Finished))
