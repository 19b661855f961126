from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.lifecycle.placements import Placements


def placed(job: int, epoch: int = 1) -> Placed:
    return Placed(JobId(job), epoch)


def test_only_what_was_given_in_this_epoch_and_has_not_ended_is_there() -> None:
    placements = Placements()
    placements.given([placed(1), placed(2)], 10)
    assert placed(1) in placements
    assert placed(1, 2) not in placements
    assert placed(3) not in placements
    assert placements.foreign([placed(1), placed(1, 2), placed(3)]) == {placed(1, 2), placed(3)}
    placements.over([placed(1), placed(2, 2)], 20)
    assert placed(1) not in placements
    assert len(placements) == 1
    placements.clear()
    assert placed(2) not in placements


def test_what_has_not_started_waits_and_a_start_counts_as_a_move() -> None:
    placements = Placements(5)
    placements.given([placed(1)], 10)
    placements.given([placed(2)], 20)
    assert placements.waiting() == [(placed(1), 10), (placed(2), 20)]
    placements.started([placed(1)], 30)
    assert (placements.waiting(), placements.moved_ms) == ([(placed(2), 20)], 30)
    # Repeated after a reconnect: no move.
    placements.started([placed(1)], 40)
    assert placements.moved_ms == 30


def test_who_comes_back_keeps_the_times_of_what_waited() -> None:
    placements = Placements()
    placements.given([placed(1), placed(2), placed(5)], 10)
    placements.started([placed(5)], 20)
    placements.only([placed(1), placed(3, 4), placed(5)], 50)
    assert placed(2) not in placements
    assert placed(5) in placements
    assert placements.waiting() == [(placed(1), 10), (placed(3, 4), 50)]
