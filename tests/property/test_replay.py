"""Random guests, crashed, released and suspended anywhere, against a run that nothing disturbs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from operator import attrgetter
from zlib import crc32

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mvm_ci.domain.errors import CorruptJournal
from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResult
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.mail import Mail
from mvm_ci.domain.outcome import Completed, FailureKind, Parked, Released, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import MAX_SEGMENT, decode, decode_data, split
from mvm_ci.journal.effects import INTERRUPTED
from mvm_ci.journal.entries import Finished, Took
from mvm_ci.lifecycle.execute import ExecutionLimits, Result
from mvm_ci.ports.execution import Leave
from mvm_ci.ports.guest import GuestLimits, HostCalls
from mvm_ci.testing.crash_points import POINTS, Crashed, CrashPoints
from mvm_ci.testing.execution import BEGIN_NS, World, echo, place

MS = 1_000_000
LARGE_BODY = b'"%s"' % (b"x" * 4_998)
LARGE = Digest(sha256(LARGE_BODY).hexdigest())
Op = tuple[str, int]
ENTRIES = {"wall": 1, "monotonic": 1, "random": 0, "sleep": 1, "until": 1, "log": 1, "get": 1, "post": 2} | {
    "ask": 1,  # the control plane, which does it once
    "tell": 1,
    "take": 2,  # a message, as long as it takes
    "wait": 2,  # for a message that may come in time or not
}
ops = st.tuples(st.sampled_from(sorted(ENTRIES)), st.integers(0, 40))
programs = st.lists(ops, max_size=12)
runs = st.lists(ops | st.tuples(st.just("continue"), st.integers(0, 40)), max_size=12)


@dataclass
class Program:
    """A guest that does ``ops``; all it asks depends on all it was told before. ``traces``: answers of the
    last run of each execution, by the number of its first operation.
    """

    ops: Sequence[Op]
    leave_at: int | None = None
    traces: dict[int, list[tuple[str, object]]] = field(default_factory=dict)

    @property
    def trace(self) -> list[tuple[str, object]]:
        return [one for _, trace in sorted(self.traces.items()) for one in trace]

    async def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        first, state = json.loads(payload or b'[0, ""]')
        trace = self.traces[first] = []
        state = sha256(state.encode()).hexdigest()
        for index, (kind, arg) in enumerate(self.ops[first:], first):
            self._leave(index)
            if kind == "continue":
                # Every other input is a blob.
                given = json.dumps({"input": [index + 1, state * (1 + 80 * (arg % 2))]})
                await host.call("job.continue", given.encode())
            asked, answer = await self._ask(kind, arg, state, host)
            trace.append((asked, answer))
            state = sha256(f"{state}{asked}{answer}".encode()).hexdigest()
        self._leave(len(self.ops))
        return state.encode() * (1 + 80 * (len(self.ops) % 2))  # every other result is a blob

    def _leave(self, index: int) -> None:
        if index == self.leave_at:
            raise Leave(Released())

    async def _ask(self, kind: str, arg: int, state: str, host: HostCalls) -> tuple[str, object]:
        match kind:
            case "wall":
                return "wall", host.wall_clock_ns()
            case "monotonic":
                return "monotonic", host.monotonic_ns()
            case "random":
                return f"random {arg}", host.random(arg)
            case "sleep":
                duration = (arg + int(state[0], 16)) * MS
                await host.sleep_for(duration)
                return f"sleep {duration}", None
            case "until":
                await host.sleep_until(arg * 10 * MS)
                return f"until {arg}", None
            case _:
                return await self._speak(kind, arg, state, host)

    async def _speak(self, kind: str, arg: int, state: str, host: HostCalls) -> tuple[str, object]:
        match kind:
            case "ask":
                argument = json.dumps({"metadata": {state: str(arg)}}).encode()
                return f"ask {argument!r}", await host.call("job.metadata", argument)
            case "tell":
                argument = json.dumps({"text": state, "done": arg}).encode()
                return f"tell {argument!r}", await host.call("job.progress", argument)
            case "take" | "wait":
                timeout = None if kind == "take" else arg * 0.01
                argument = json.dumps({"topics": [topic(kind, arg)], "timeout_s": timeout}).encode()
                return f"{kind} {argument!r}", await host.call("wait", argument)
            case "log":
                text = f"{arg} {state}\n"
                host.log("stdout", text)
                return f"log {text}", None
            case _:
                method = kind.upper()
                url = f"https://example.org/{arg}?{state}"
                request = HttpRequest(method, url, (), state.encode(), 1000, method == "GET")
                return f"{method} {url}", await host.http(request)


def topic(kind: str, arg: int) -> str:
    return f"message:{arg % 3}" if kind == "take" else "message:perhaps"


def mail_for(ops: Sequence[Op]) -> list[tuple[int, Mail]]:
    """What comes while a program runs: one for each message that it must get, and for every other wait."""
    asked = [(kind, arg) for kind, arg in ops if kind == "take" or (kind == "wait" and arg % 2)]
    times = sorted(BEGIN_NS + 7 * arg * MS for _, arg in asked)
    mail = [
        Mail(number, topic(kind, arg), b'"%d"' % number if arg % 5 else BlobRef(LARGE, 5_000))
        for number, (kind, arg) in enumerate(asked, 1)
    ]
    return list(zip(times, mail, strict=True))


def world_of(ops: Sequence[Op], respond: Callable[[HttpRequest, int], HttpResult] = echo) -> World:
    world = World(respond)
    world.put_blob(LARGE_BODY)
    world.mail = mail_for(ops)
    return world


@dataclass(frozen=True)
class Trouble:
    """How one placement goes wrong: it dies at a crash point, or leaves before a call."""

    point: str | None
    visit: int
    arrives: int
    downtime_ms: int


def troubles(max_downtime_ms: int) -> st.SearchStrategy[list[Trouble]]:
    one = st.builds(
        Trouble,
        point=st.sampled_from([None, *POINTS]),
        visit=st.integers(1, 8),
        arrives=st.integers(0, 3),
        downtime_ms=st.integers(0, max_downtime_ms),
    )
    return st.lists(one, max_size=6)


def go(world: World, program: Program, trouble: Trouble | None, limits: ExecutionLimits) -> Result | Crashed:
    """One placement, after which the world has waited for what it waits for."""
    points = CrashPoints(trouble.point, trouble.visit) if trouble and trouble.point else None
    program.leave_at = trouble.visit - 1 if trouble and not trouble.point else None
    ended = place(
        world, program, crash_points=points, limits=limits, arrives=trouble.arrives if trouble else 0
    )
    if trouble:
        world.now_ns += trouble.downtime_ms * MS
    if isinstance(world.outcome, Suspended):
        world.wait(world.outcome.topics, world.outcome.wake_ms * MS)
    return ended


def to_the_end(
    world: World, program: Program, plan: Sequence[Trouble], limits: ExecutionLimits, each: Callable[[], None]
) -> Completed:
    """Placement after placement until the job is completed."""
    for trouble in plan:
        go(world, program, trouble, limits)
        each()
        if isinstance(world.outcome, Completed):
            return world.outcome
    for _ in range(2 * len(program.ops) + 1):
        go(world, program, None, limits)
        each()
        if isinstance(world.outcome, Completed):
            return world.outcome
    raise AssertionError(world.outcome)


def check_effects(world: World, program: Program) -> None:
    """Output commit: the outside saw what the final run did, once; only idempotent requests more than once,
    alike.
    """
    final = [asked for asked, _ in program.trace]
    for key, requests in world.effects.items():
        first = requests[0]
        assert all(request == first for request in requests), key
        assert len(requests) == 1 or first.idempotent, key
        assert f"{first.method} {first.url}" in final, "an effect of a run that never was"
    for asked, answer in program.trace:
        if asked.startswith(("GET", "POST")) and answer != INTERRUPTED:
            assert any(f"{r.method} {r.url}" == asked for rs in world.effects.values() for r in rs)
    asks = [asked for asked in final if asked.startswith("ask ")]
    assert [f"ask {argument!r}" for ((_, argument), *_) in world.asked.values()] == asks, (
        "each by its own key"
    )
    assert all(call == calls[0] for calls in world.asked.values() for call in calls)
    check_mail(world, program)
    logs = [asked.removeprefix("log ") for asked in final if asked.startswith("log ")]
    assert world.shown == "".join(logs)


def check_mail(world: World, program: Program) -> None:
    """Each piece was taken once, by who got it, those of one topic in their order; the others wait still."""
    taken = [entry.mail for entry in world.all_entries if isinstance(entry, Took) and entry.mail is not None]
    assert sorted([*taken, *(mail for _, mail in world.mail)], key=attrgetter("number")) == [
        mail for _, mail in mail_for(program.ops)
    ]
    for about in {mail.topic for mail in taken}:
        numbers = [mail.number for mail in taken if mail.topic == about]
        assert numbers == sorted(numbers)
    got = [answer for asked, answer in program.trace if asked.startswith(("take", "wait"))]
    assert len([answer for answer in got if answer != b'{"ok":null}']) == len(taken)
    assert all(b"null" not in answer for asked, answer in program.trace if asked.startswith("take"))  # type: ignore[operator]


def check_clocks(program: Program) -> None:
    read = [("wall", program.trace), *(("monotonic", trace) for trace in program.traces.values())]
    for clock, trace in read:  # each execution has its own monotonic clock
        answers = [answer for asked, answer in trace if asked == clock]
        assert answers == sorted(answers)  # type: ignore[type-var]  # clocks are answered with integers


@settings(max_examples=400)
@given(runs, troubles(max_downtime_ms=0), st.sampled_from([0, 20, 10_000]))
def test_a_disturbed_execution_is_the_undisturbed_one(
    ops: list[Op], plan: list[Trouble], suspend_after_ms: int
) -> None:
    world, program = world_of(ops), Program(ops)
    limits = ExecutionLimits(suspend_after_ms=suspend_after_ms)
    outcome = to_the_end(world, program, plan, limits, lambda: None)
    interrupted = {asked for asked, answer in program.trace if answer == INTERRUPTED}

    def respond(request: HttpRequest, number: int) -> HttpResult:
        lost = f"{request.method} {request.url}" in interrupted
        return INTERRUPTED if lost else echo(request, number)

    undisturbed, calm = world_of(ops, respond), Program(ops)
    assert to_the_end(undisturbed, calm, [], limits, lambda: None) == outcome
    if program.trace:
        assert calm.trace == program.trace
    assert interrupted <= {asked for asked, _ in program.trace if asked.startswith("POST")}
    check_effects(world, program)


@settings(max_examples=400)
@given(
    ops=runs,
    plan=troubles(max_downtime_ms=500),
    suspend_after_ms=st.sampled_from([0, 20, 10_000]),
    slow=st.booleans(),
)
def test_effects_clocks_and_answers_hold_in_a_world_that_goes_on(
    *, ops: list[Op], plan: list[Trouble], suspend_after_ms: int, slow: bool
) -> None:
    """Time passes while nobody runs, and the outside answers each request differently."""
    world = world_of(ops, lambda request, number: HttpFailure("connect", f"the {number}th request"))
    world.slow = slow
    program = Program(ops)
    limits = ExecutionLimits(suspend_after_ms=suspend_after_ms)
    durable: list[object] = []

    def check() -> None:
        entries: list[object] = list(world.all_entries)
        assert entries[: len(durable)] == durable, "a durable entry changed"
        durable[:] = entries

    outcome = to_the_end(world, program, plan, limits, check)
    check_effects(world, program)
    check_clocks(program)
    effects, trace = str((world.effects, world.asked, world.mail)), program.trace
    assert isinstance(world.entries[-1], Finished)
    assert go(world, program, None, limits) == Result(outcome=outcome)
    seen = str((world.effects, world.asked, world.mail))
    assert (program.trace, seen) == (trace, effects), "a full replay is silent and the same"


@given(runs)
def test_released_before_every_single_call(ops: list[Op]) -> None:
    world, program = world_of(ops), Program(ops)
    plan = [Trouble(None, n + 1, 0, 0) for n in range(len(ops) + 1)]
    limits = ExecutionLimits(suspend_after_ms=0)
    outcome = to_the_end(world, program, [t for t in plan for _ in "12"], limits, lambda: None)
    calm = Program(ops)
    assert to_the_end(world_of(ops), calm, [], ExecutionLimits(), lambda: None) == outcome
    assert calm.trace == program.trace
    check_effects(world, program)
    assert all(len(requests) == 1 for requests in world.effects.values())


def changed(op: Op) -> Op:
    """Another call, or the same with another argument."""
    kind, arg = op
    other = {"wall": "monotonic", "monotonic": "wall", "get": "post", "post": "get"}
    return other.get(kind, kind), arg + 1


@given(programs, st.data())
def test_a_changed_guest_is_parked_at_the_right_entry(ops: list[Op], data: st.DataObject) -> None:
    visible = [n for n, (kind, _) in enumerate(ops) if ENTRIES[kind]]
    assume(visible)
    world = world_of(ops)
    to_the_end(world, Program(ops), [], ExecutionLimits(), lambda: None)
    at = data.draw(st.sampled_from(visible))
    how = data.draw(st.sampled_from(["change", "end", "insert"]))
    if how == "change":
        guest = [*ops[:at], changed(ops[at]), *ops[at + 1 :]]
    elif how == "end":
        guest = list(ops[:at])
    else:
        guest = [*ops[:at], ("wall" if ops[at][0] != "wall" else "monotonic", 0), *ops[at:]]
    before = world.journal
    index = 2 + sum(ENTRIES[kind] for kind, _ in ops[:at])
    result = go(world, Program(guest), None, ExecutionLimits())
    assert isinstance(result, Result)
    assert isinstance(result.outcome, Parked)
    assert result.outcome.failure.kind is FailureKind.NONDETERMINISM
    assert result.outcome.failure.message.startswith(f"entry {index} of the journal records")
    assert (result.tail, world.journal) == (None, before)


@given(st.binary(max_size=300))
@example(b"")
@example(b"\x01\0\0\0\0")
@example(b"\x02\0\0\0\0\x90")
def test_any_bytes_are_entries_or_corrupt(data: bytes) -> None:
    checked = b"\x01" + crc32(data).to_bytes(4, "big") + data
    for body in (data, checked):
        try:
            entries = decode_data(body)
        except CorruptJournal:
            continue
        assert body == checked
        assert isinstance(entries, list)


@given(programs, st.data())
def test_damage_anywhere_is_corrupt_or_harmless(ops: list[Op], data: st.DataObject) -> None:
    """Flipped bits are found; what decodes after all (no checksum can tell a forgery) does not get through
    replay.
    """
    world = world_of(ops)
    to_the_end(world, Program(ops), [], ExecutionLimits(), lambda: None)
    entries = world.entries
    (segment,) = split(entries, 0)
    at = data.draw(st.integers(0, len(segment.data) - 1))
    flipped = bytearray(segment.data)
    flipped[at] ^= data.draw(st.integers(1, 255))
    try:
        decode([Segment(0, segment.count, bytes(flipped))])
    except CorruptJournal:
        return
    raise AssertionError("damage was not found")


@given(programs, st.lists(st.integers(0, 60), max_size=4))
def test_cuts_between_segments_mean_nothing(ops: list[Op], cuts: list[int]) -> None:
    world = world_of(ops)
    to_the_end(world, Program(ops), [], ExecutionLimits(), lambda: None)
    entries = world.entries
    edges = sorted({0, len(entries), *(cut for cut in cuts if cut < len(entries))})
    segments = [s for a, b in pairwise(edges) for s in split(entries[a:b], a)]
    assert decode(segments) == entries
    assert all(len(segment.data) <= MAX_SEGMENT for segment in segments)
