"""What became of the jobs of a soak, by the answers and lists of its cluster."""

from __future__ import annotations

import pytest

from mvm_ci.loadtest.books import Books
from mvm_ci.wire.api import FailureView, JobView


def view(job: str, state: str = "completed", failure: FailureView | None = None) -> JobView:
    return JobView(id=job, state=state, failure=failure)


def test_all_that_was_taken_has_ended() -> None:
    books = Books()
    for job in ("a", "b"):
        books.taken(job)
        assert books.listed(view(job))
    assert books.lost(2) == 0
    assert books.problems == []
    assert books.counts() == {"completed": 2}


def test_what_was_taken_and_is_in_no_list_is_lost() -> None:
    books = Books()
    for job in ("a", "b", "c"):
        books.taken(job)
    books.listed(view("b"))
    assert books.lost(3) == 2


def test_an_end_of_a_job_without_an_answer_hides_no_lost_one() -> None:
    books = Books()
    books.taken("answered")
    books.listed(view("sent, and never answered"))
    assert books.lost(2) == 1


def test_a_job_that_was_listed_and_is_gone_is_lost() -> None:
    books = Books()
    assert not books.listed(view("a", "in_progress"))
    assert books.lost(1) == 1
    assert books.lost(1, still={"a"}) == 0


def test_the_answer_may_come_after_the_list() -> None:
    books = Books()
    books.listed(view("a"))
    books.taken("a")
    assert books.lost(1) == 0


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled", "dead"])
def test_ends(state: str) -> None:
    books = Books()
    assert books.listed(view("a", state))
    assert books.counts() == {state: 1}
    assert len(books.problems) == (state != "completed")


@pytest.mark.parametrize("state", ["pending", "claimed", "in_progress", "suspended", "paused", "cancelling"])
def test_no_ends(state: str) -> None:
    books = Books()
    assert not books.listed(view("a", state))
    assert not books.counts()


def test_more_that_ended_than_were_sent_are_told() -> None:
    books = Books()
    for job in ("a", "b", "c"):
        books.listed(view(job))
    assert books.lost(2) == 0
    assert books.problems == ["3 jobs ended, and 2 were submitted"]


def test_a_job_has_one_end() -> None:
    books = Books()
    books.listed(view("a"))
    books.listed(view("a"))
    assert books.problems == []
    books.listed(view("a", "failed"))
    assert books.problems == ["a: was completed, and is failed"]


def test_why_a_job_failed_is_told_once_and_of_the_first_ones() -> None:
    books = Books()
    for number in range(50):
        failed = view(f"job-{number}", "failed", FailureView(kind="guest", message="trapped"))
        books.listed(failed)
        books.listed(failed)
    assert books.problems == [f"job-{number}: failed: trapped" for number in range(20)]
