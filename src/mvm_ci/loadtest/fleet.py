"""A cluster under load, as the load test sees it: how many workers, what its processes use, losing one."""

from typing import Protocol

import msgspec

from mvm_ci.capacity.results import Loss


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """Where jobs are submitted."""

    url: str
    token: str
    namespace: str | None = None

    def __repr__(self) -> str:
        # Ends up in tracebacks; the token must not.
        return f"Api(url={self.url!r})"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes of a part have used so far (``cpu_s``: seconds of CPU since their start) and hold
    now. Parts are those of ``results.Usage``. ``memory_mb``: proportional set size, or resident where only
    that is told; ``disk_mb``: of its state directory, 0.0 where nobody can see it.
    """

    part: str
    processes: int
    cpu_s: float
    memory_mb: float
    files: int = 0
    disk_mb: float = 0.0


class Fleet(Protocol):
    """A cluster whose workers can be more or fewer. All methods raise ``Unavailable`` if it is gone."""

    @property
    def option(self) -> int | None:
        """Where its engine is, as in ``results.Step``."""
        ...

    @property
    def slots(self) -> int:
        """Of each worker."""
        ...

    @property
    def ours(self) -> bool:
        """Whether it is there for this load test alone, and ends with it."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether its workers live in one process."""
        ...

    @property
    def api(self) -> Api:
        """Where to submit."""
        ...

    async def scale(self, workers: int) -> None:
        """Returns when exactly so many are connected and take jobs."""
        ...

    async def changed(self) -> str:
        """What is not as ``scale`` left it, in words, or nothing. Raises ``Unavailable`` if it is of no use
        like that.
        """
        ...

    async def samples(self) -> tuple[Sample, ...]:
        """What its parts use; what cannot be seen from here is left out."""
        ...

    async def kill(self) -> Loss:
        """Kills one worker without warning and starts one in its place; returns when that is connected.
        ``at_s`` is 0.0: the caller knows when. Raises ``Unavailable`` if nothing can be killed here.
        """
        ...

    async def close(self) -> None:
        """Leaves it as it was found: what was started here is gone. May be called again."""
        ...
