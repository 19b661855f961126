"""Placements and seats for tests of the pool's parts, without runners."""

from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import JobSpec, Placed
from mvm_ci.engine.live import Live
from mvm_ci.engine.seat import Seat
from mvm_ci.ports.engine import Placement

MODULE = Digest("ab" * 32)


def live(number: int, module: Digest = MODULE) -> Live:
    spec = JobSpec(module=module, input=b"")
    return Live(number, Placement(placed=Placed(JobId(number), 1), attempt=1, spec=spec))


def seat(slots: int = 1) -> Seat:
    made = Seat(0, slots)
    made.usable = True
    return made
