from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.lifecycle.placements import Placements


class Now:
    """A clock that stands."""

    def __init__(self) -> None:
        self.ms = 0

    def __call__(self) -> int:
        return self.ms


def placed(job: int, epoch: int = 1) -> Placed:
    return Placed(JobId(job), epoch)


def test_only_what_was_given_in_this_epoch_and_has_not_ended_is_there() -> None:
    placements = Placements(Now())
    placements.given([placed(1), placed(2)])
    assert placed(1) in placements
    assert placed(1, 2) not in placements
    assert placed(3) not in placements
    assert placements.foreign([placed(1), placed(1, 2), placed(3)]) == {placed(1, 2), placed(3)}
    placements.over([placed(1), placed(2, 2)])
    assert placed(1) not in placements
    assert placements.all() == [placed(2)]
    placements.clear()
    assert placed(2) not in placements


def test_what_has_not_started_waits_and_a_start_or_an_end_is_a_move() -> None:
    now = Now()
    placements = Placements(now)
    now.ms = 10
    placements.given([placed(1)])
    now.ms = 20
    placements.given([placed(2)])
    assert placements.waiting() == [(placed(1), 10), (placed(2), 20)]
    assert placements.waiting_since == 10
    now.ms = 30
    placements.started([placed(1)])
    assert (placements.waiting(), placements.moved_ms) == ([(placed(2), 20)], 30)
    now.ms = 40
    # Repeated after a reconnect, or not its own doing: no move.
    placements.started([placed(1)])
    assert placements.taken([placed(2), placed(9)]) == 1
    assert placements.moved_ms == 30
    placements.over([placed(1)])
    assert (placements.moved_ms, len(placements)) == (40, 0)
    assert placements.waiting_since is None


def test_who_comes_back_keeps_the_times_of_what_waited() -> None:
    now = Now()
    placements = Placements(now)
    now.ms = 10
    placements.given([placed(1), placed(2), placed(5)])
    placements.started([placed(5)])
    now.ms = 50
    placements.only([placed(1), placed(3, 4), placed(5)])
    assert placed(2) not in placements
    assert placed(5) in placements
    assert placements.waiting() == [(placed(1), 10), (placed(3, 4), 50)]


def test_how_long_it_waited_is_told_once_by_its_start_or_by_its_end() -> None:
    now = Now()
    placements = Placements(now)
    placements.given([placed(1), placed(2), placed(3)])
    now.ms = 30
    assert placements.started([placed(1), placed(9)]) == [30]
    assert placements.started([placed(1)]) == []
    now.ms = 50
    assert placements.over([placed(1), placed(2), placed(2)]) == [50]
    assert placements.taken([placed(3)]) == 1
    assert placements.over([placed(3)]) == []
