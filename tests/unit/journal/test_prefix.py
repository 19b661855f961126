"""Where a journal may be cut for a fork."""

import pytest

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.journal.entries import Entry, Finished, HttpIntent, Logged, Slept
from mvm_ci.journal.prefix import check_end, is_call, of_module
from tests.unit.journal.machines import BEGAN, FIRST, S

OTHER = Digest("0e" * 32)
INTENT = HttpIntent(Digest("0d" * 32), "POST https://x/")
LATE = Finished(None, Failure(kind=FailureKind.TIME, message="too long"))


@pytest.mark.parametrize("last", [BEGAN, Logged("log", "a", 1), Slept(S, S)])
def test_it_may_be_cut_behind_whatever_is_over(last: Entry) -> None:
    check_end(last, 5, 6)


def test_what_is_under_way_is_not_cut_off() -> None:
    with pytest.raises(BadInput, match=r"at: 8 is between the intent of request POST .* entry 5, and what"):
        check_end(INTENT, 5, 8)


@pytest.mark.parametrize("last", [Finished(b"1", None), LATE])
def test_nothing_can_follow_an_end(last: Entry) -> None:
    with pytest.raises(BadInput, match="nothing can follow it: fork at 5 at most"):
        check_end(last, 5, 6)


def test_a_placement_is_no_call() -> None:
    assert [is_call(entry) for entry in (BEGAN, FIRST, INTENT)] == [True, False, True]


def test_only_the_beginning_names_the_module() -> None:
    began, *rest = of_module([BEGAN, FIRST, INTENT], OTHER)
    assert rest == [FIRST, INTENT]
    assert began == type(BEGAN)(BEGAN.format, OTHER, BEGAN.input, BEGAN.seed, BEGAN.wall_ns)
