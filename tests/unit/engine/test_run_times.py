"""Which modules are quick."""

from mvm_ci.domain.ids import Digest
from mvm_ci.engine.run_times import SMALL_NS, RunTimes

MODULE = Digest("a" * 64)


def test_an_unknown_module_is_not_small() -> None:
    assert RunTimes().small(MODULE) is None


def test_a_quick_module_is_small_and_one_slow_run_changes_that() -> None:
    times = RunTimes()
    times.observe(MODULE, 50_000)
    assert times.small(MODULE) == 50_000
    times.observe(MODULE, 1_000_000_000)
    assert times.small(MODULE) is None


def test_a_module_can_become_small_again() -> None:
    times = RunTimes()
    times.observe(MODULE, 50_000_000)
    for _ in range(30):
        times.observe(MODULE, 50_000)
    assert times.small(MODULE) is not None


def test_only_so_many_modules_are_known() -> None:
    times = RunTimes()
    for number in range(5000):
        times.observe(Digest(f"{number:064x}"), SMALL_NS // 2)
    assert times.small(Digest(f"{0:064x}")) is None
    assert times.small(Digest(f"{4999:064x}")) is not None
