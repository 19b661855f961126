"""Work that is tried again until the store has carried it out."""

from mvm_ci.domain.errors import Unavailable
from mvm_ci.lifecycle.until_done import PAUSE_MS, UntilDone
from mvm_ci.testing.clock import FakeClock, settle


class Work:
    """Fails as often as it is told to."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.tries = 0

    async def __call__(self) -> None:
        self.tries += 1
        if self.tries <= self.failures:
            raise Unavailable("the disk is full")


async def test_it_is_tried_again_after_a_pause_until_it_is_done() -> None:
    clock, work = FakeClock(), Work(failures=2)
    under_way = UntilDone(clock, "not_done")
    under_way.begin(work)
    await settle()
    assert work.tries == 1
    await clock.advance(10 * PAUSE_MS)
    assert work.tries == 3


async def test_a_close_ends_what_would_be_tried_for_ever() -> None:
    clock, work = FakeClock(), Work(failures=1_000_000)
    under_way = UntilDone(clock, "not_done")
    under_way.begin(work)
    await settle()
    await under_way.close()
    await clock.advance(10 * PAUSE_MS)
    assert work.tries == 1
