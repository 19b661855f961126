"""The catalogue of mutants fits the code as it is; ``make mutants`` shows that each one is caught."""

import pytest

from tests.mutants.catalogue import CODE, MUTANTS, ROOT, Mutant
from tests.unit.named_tests import exists

KINDS = {
    "a request leaves before its entries are durable",
    "an end of an older epoch is accepted",
    "nobody is told when a suspended job must wake",
    "segments change places when they are sent again",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_its_file_and_names_tests_that_exist(mutant: Mutant) -> None:
    assert mutant.applied(ROOT) != (ROOT / CODE / mutant.file).read_text()
    assert mutant.tests
    assert [test for test in mutant.tests if not exists(test)] == []


def test_names_are_given_once_and_the_four_kinds_are_there() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names)
    assert set(names) >= KINDS


@pytest.mark.parametrize("text", ["nowhere to be found", "\n"])
def test_a_text_that_is_not_there_once_is_no_mutant(text: str) -> None:
    with pytest.raises(ValueError, match="times, not once"):
        MUTANTS[0]._replace(before=text).applied(ROOT)
