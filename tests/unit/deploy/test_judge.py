"""What the figures of a validation say of each check."""

from __future__ import annotations

from mvm_ci.deploy.validation import judge
from mvm_ci.deploy.validation.delays import REPORT, Delays
from mvm_ci.deploy.validation.fleet import Fleet
from mvm_ci.deploy.validation.guest import Program, computed
from mvm_ci.deploy.validation.leaks import growth
from mvm_ci.deploy.validation.ledger import Ledger
from mvm_ci.deploy.validation.report import Outcome
from mvm_ci.domain.ids import format_job_id
from mvm_ci.wire.api import EventView, JobView, WorkerView

PROGRAM = Program(kind="compute", steps="c7")


def worker(name: str, session: int | None = 1, *, path: str | None = "direct") -> WorkerView:
    connected = session is not None
    return WorkerView(id=name * 8, name=name, state="active", connected=connected, session=session, path=path)


def one_job(*kinds: str) -> Ledger:
    ledger = Ledger()
    ledger.submitted("a", PROGRAM, 9.5, 10.0)
    for seq, kind in enumerate(kinds):
        ledger.happened(EventView(seq=seq, at_ms=0, kind=kind, job="a"), 11.0)
    ledger.settled(JobView(id="a", state="completed"), computed(7), 12.0)
    return ledger


def delays(*measured: float) -> Delays:
    found = Delays()
    for ms in measured:
        found.add(REPORT, 1.0, ms)
    return found


def test_workers_count_that_are_connected_over_the_peers_network() -> None:
    fleet = Fleet()
    fleet.look([worker("a"), worker("b", path="relayed"), worker("c", None), worker("d", path=None)], 1, 0.0)
    assert [one.name for one in fleet.connected()] == ["a", "b"]


def test_a_session_that_ends_is_a_loss_and_a_new_one_is_a_return() -> None:
    fleet = Fleet()
    for at_s, sessions in enumerate([(1, 1), (1, None), (1, None), (1, 2), (3, 2)]):
        fleet.look([worker(name, session) for name, session in zip("ab", sessions, strict=True)], 1, at_s)
    assert [(loss.name, loss.at_s, loss.back_s) for loss in fleet.losses] == [("b", 1, 3), ("a", 4, 4)]


def test_a_worker_that_is_not_listed_any_more_is_lost() -> None:
    fleet = Fleet()
    fleet.look([worker("a")], 1, 0.0)
    fleet.look([], 1, 1.0)
    assert [loss.name for loss in fleet.losses] == ["a"]


def test_only_the_worker_that_was_to_be_killed_may_be_lost() -> None:
    fleet = Fleet()
    fleet.look([worker("a"), worker("b")], 1, 0.0)
    fleet.look([worker("a"), worker("b", None)], 1, 1.0)
    assert judge.fleet(fleet.losses, 2).outcome is Outcome.FAILED
    fleet.losses[0].wanted = True
    assert judge.fleet(fleet.losses, 2).outcome is Outcome.PASSED
    survived = judge.check(judge.LOSS, Outcome.PASSED, "")
    assert judge.with_return(survived, fleet.losses).details == ("b has not joined again",)
    fleet.look([worker("a"), worker("b", 2)], 1, 5.0)
    assert "b joined again 4 s after" in judge.with_return(survived, fleet.losses).details[0]


def test_a_control_plane_that_is_up_all_the_time_passes() -> None:
    fleet = Fleet()
    fleet.look([], 1, 0.0)
    fleet.look([], 1, 1.0)
    assert judge.control_plane(fleet, "1.0", 1.0, "").outcome is Outcome.PASSED


def test_a_restart_fails() -> None:
    fleet = Fleet()
    fleet.look([], 1, 0.0)
    fleet.look([], 2, 1.0)
    found = judge.control_plane(fleet, "1.0", 1.0, "")
    assert (found.outcome, found.text) == (Outcome.FAILED, "it was restarted 1 times")


def test_a_hiccup_is_told_and_a_longer_silence_fails() -> None:
    fleet = Fleet()
    assert fleet.silent("no route", 1.0, 2.0) == 1.0
    assert fleet.silent("no route", 3.0, 4.0) == 3.0
    fleet.look([], 1, 5.0)
    short = judge.control_plane(fleet, "1.0", 100.0, "")
    assert short.outcome is Outcome.PASSED
    assert short.details == ("did not answer from 1 s on, for 4 s: no route",)
    fleet.silent("no route", 50.0, 51.0)
    long = judge.control_plane(fleet, "1.0", 100.0, "")
    assert long.outcome is Outcome.FAILED
    assert "from 50 s on, for 50 s" in long.details[1]


def test_updates_that_came_in_time_pass() -> None:
    found = judge.updates(one_job("submitted", "ended"), delays(1.0, 2.0, 3.0), 5.0, [])
    assert found.outcome is Outcome.PASSED
    assert "p50 2 ms, p99 3 ms, max 3 ms" in found.text


def test_updates_that_are_late_missing_or_may_be_missing_fail() -> None:
    whole = one_job("submitted", "ended")
    assert judge.updates(whole, delays(1.0, 2_500.0), 5.0, []).outcome is Outcome.FAILED
    assert judge.updates(whole, delays(1.0), 5.0, [7.0]).outcome is Outcome.FAILED
    silent = judge.updates(one_job("submitted"), delays(1.0), 5.0, [])
    assert (silent.outcome, silent.details) == (Outcome.FAILED, ("a: no 'ended' event",))


def test_what_was_submitted_before_anybody_watched_needs_no_event() -> None:
    assert judge.updates(one_job(), delays(), 15.0, []).outcome is Outcome.UNFINISHED


def test_jobs_pass_until_there_is_a_problem() -> None:
    ledger = one_job("submitted", "ended")
    fine = judge.jobs(ledger, 3.0, 2)
    assert fine.outcome is Outcome.PASSED
    assert len(fine.details) == 2
    ledger.problem(20.0, "a", "lost")
    assert judge.jobs(ledger, 0.0, 0).details == ("at 20 s a: lost",)
    assert judge.jobs(ledger, 0.0, 0).outcome is Outcome.FAILED


def test_leaks_are_judged_in_long_runs_alone() -> None:
    points = {"memory": [(float(at), 80.0 + at) for at in range(1000)], "files": [(0.0, 1.0)]}
    found = judge.growths(points)
    assert [one.name for one in found] == ["memory"]
    assert judge.leaking(found, 1000.0, "").outcome is Outcome.FAILED
    assert judge.leaking(found, 599.0, "").outcome is Outcome.NOT_JUDGED
    assert judge.leaking([], 1000.0, "it may not").outcome is Outcome.NOT_JUDGED
    assert judge.leaking([], 1000.0, "").outcome is Outcome.UNFINISHED
    calm = growth("memory", [(float(at), 80.0) for at in range(1000)])
    assert calm is not None
    assert judge.leaking([calm], 1000.0, "").outcome is Outcome.PASSED


def test_the_clocks_are_compared_by_the_fastest_exchange() -> None:
    found = Delays()
    for rtt, ahead in ((40.0, 513.0), (4.0, 500.0), (90.0, 470.0)):
        made = 1_000_000 + rtt / 2 + ahead
        found.exchanged(format_job_id(int(made) << 20), 1_000_000, 1_000_000 + rtt)
    assert abs(found.ahead_ms - 500) <= found.uncertain_ms == 2.5


def test_a_delay_is_never_negative() -> None:
    assert delays(-3.0, 1.0).summaries()[REPORT].p50 == 0
