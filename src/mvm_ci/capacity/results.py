"""What a load test found: the file it writes, and ``plan``, ``decide``, reports and documents read.

Times are Unix milliseconds, seconds or milliseconds, as their names say. CPU is in cores: 1.0 is one core for
all the time that was measured. Memory is the proportional set size, in MiB.
"""

from enum import StrEnum
from statistics import median
from typing import Final

import msgspec

from mvm_ci.domain.errors import BadInput

FORMAT: Final = 1
ALONE: Final = "generator"
"""The part of ``usage`` that is the load generator itself."""


class Loop(StrEnum):
    """Who decides when the next request leaves. ``OPEN``: a clock, whatever became of the ones before;
    ``CLOSED``: the answer to the one before.
    """

    OPEN = "open"
    CLOSED = "closed"


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from when a request was due (open loop) or left (closed loop) to its answer.

    ``buckets``: a ``hdr.Histogram``, by index; empty in what was measured elsewhere.
    """

    mean: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    largest: float = 0.0
    buckets: dict[int, int] = {}


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes of one part used in the measured time. Parts: ``control-plane``, ``engine``
    (runners and all, of an engine in a process of its own), ``workers`` (all of them, with their runners),
    ``stub`` and ``generator``. An engine inside the control plane counts with it, runners and all.
    """

    part: str
    processes: int
    cpu_cores: float
    memory_mb: float


class Repetition(msgspec.Struct, frozen=True, kw_only=True):
    """One measured time under one load. ``jobs``: that completed in it; ``late_p99_ms``: how late requests
    left, by the generator's own clock; ``bottleneck``: why the generator was itself the limit, or nothing;
    ``overload``: why the cluster did not sustain the rate of an open loop, or nothing; ``reasons``: how often
    jobs failed for what, of the most frequent.
    """

    warm_up_s: float
    measured_s: float
    steady: bool
    jobs: int
    failed: int
    jobs_per_s: float
    latency: Latency
    late_p99_ms: float
    usage: tuple[Usage, ...]
    bottleneck: str = ""
    overload: str = ""
    reasons: dict[str, int] = {}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One load. ``option``: where the engine is (1 to 4), None: not known; ``slots``: of each worker;
    ``simulated``: workers that live in one process, and speak the protocol as all do; ``rate``: requests a
    second that were asked for (open loop); ``in_flight``: requests at once (closed loop); ``batch``: jobs in
    each request.
    """

    option: int | None
    profile: str
    workers: int
    slots: int
    simulated: bool
    loop: Loop
    rate: float | None = None
    in_flight: int | None = None
    batch: int = 1
    repetitions: tuple[Repetition, ...]
    ended_by: str = ""
    """Why it ended before its time, or could not begin: then there may be fewer repetitions, or none."""

    @property
    def jobs_per_s(self) -> float:
        """Median of the repetitions."""
        return median([one.jobs_per_s for one in self.repetitions] or [0.0])

    @property
    def p50_ms(self) -> float:
        """Median of the repetitions."""
        return median([one.latency.p50 for one in self.repetitions] or [0.0])

    @property
    def p99_ms(self) -> float:
        """Median of the repetitions."""
        return median([one.latency.p99 for one in self.repetitions] or [0.0])

    @property
    def failed(self) -> int:
        """Jobs that did not complete, of all repetitions."""
        return sum(one.failed for one in self.repetitions)

    @property
    def bottleneck(self) -> str:
        """Why a generator was the limit, in one of the repetitions, or nothing."""
        return next((one.bottleneck for one in self.repetitions if one.bottleneck), "")

    def cpu_cores(self, part: str) -> float:
        """Of a part; median of the repetitions; 0.0 if it was not measured."""
        return median([one.cpu_cores for one in self._used(part)] or [0.0])

    def memory_mb(self, part: str) -> float:
        """Of a part; median of the repetitions; 0.0 if it was not measured."""
        return median([one.memory_mb for one in self._used(part)] or [0.0])

    def _used(self, part: str) -> list[Usage]:
        return [used for one in self.repetitions for used in one.usage if used.part == part]


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where the generator ran. ``shared``: the whole cluster ran there, too."""

    cores: int
    cpu: str
    memory_mb: int
    kernel: str
    python: str
    packages: dict[str, str]
    load_average: float
    shared: bool


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """What was loaded. ``address``: of its API, or ``local``; ``clock_ahead_ms``: of the control plane's
    clock against the generator's, give or take ``clock_uncertain_ms``.
    """

    address: str
    version: str
    clock_ahead_ms: float = 0.0
    clock_uncertain_ms: float = 0.0


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """One figure over a soak. ``noise_per_hour``: how far ``per_hour`` can be off by the figure's own
    scatter; ``points``: seconds since the beginning, value.
    """

    part: str
    what: str
    unit: str
    per_hour: float
    noise_per_hour: float
    within_noise: bool
    points: tuple[tuple[float, float], ...]


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that was killed. ``back_s``: when one in its place was connected; None: never seen."""

    worker: str
    at_s: float
    back_s: float | None = None


class Soak(msgspec.Struct, frozen=True, kw_only=True):
    """A load for long, with what became of every single job. ``lost``: jobs that the cluster took, and that
    never ended; ``effects``: different ones that a server outside saw; ``doubled``: of these it saw done more
    than once; ``repeated``: requests that it saw again, with the key of one before. None: not looked at.
    """

    step: Step
    submitted: int
    completed: int
    failed: int
    lost: int | None
    doubled: int | None
    repeated: int
    effects: int | None = None
    losses: tuple[Loss, ...] = ()
    grown: tuple[Grown, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether a job or an effect is known not to be as it must be."""
        return bool(self.lost or self.doubled or self.failed or self.problems)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run of ``mvm-ci loadtest``. ``profiles``: what the jobs of each profile do, in words; ``slo``: the
    objective it was judged by; ``ended_by``: why it is not complete; ``command``: the arguments, as given.
    """

    format: int = FORMAT
    command: str
    began_ms: int
    took_s: float
    complete: bool
    ended_by: str = ""
    machine: Machine
    cluster: Cluster
    profiles: dict[str, str]
    slo: str = ""
    steps: tuple[Step, ...] = ()
    soak: Soak | None = None
    notes: tuple[str, ...] = ()


def read(data: bytes, name: str) -> Result:
    """The result in a file. Raises ``BadInput``, which says that it is the file ``name``."""
    try:
        version = msgspec.json.decode(data, type=_Version).format
        if version != FORMAT:
            raise BadInput(f"{name}: has format {version}; this program reads {FORMAT}")
        return msgspec.json.decode(data, type=Result)
    except msgspec.MsgspecError as error:
        raise BadInput(f"{name}: is not what mvm-ci loadtest writes: {error}") from None


class _Version(msgspec.Struct):
    format: int
