import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.labels import (
    MAX_KEY,
    MAX_LABELS,
    MAX_VALUE,
    check_labels,
    format_labels,
    matches,
    parse_label,
    parse_labels,
)

KEYS = st.from_regex(r"[a-z0-9]([a-z0-9._/-]{0,10}[a-z0-9])?", fullmatch=True)
VALUES = st.from_regex(r"([A-Za-z0-9]([A-Za-z0-9._/-]{0,10}[A-Za-z0-9])?)?", fullmatch=True)
LABELS = st.dictionaries(KEYS, VALUES, max_size=6)


@given(LABELS)
def test_labels_are_read_as_they_are_written(labels: dict[str, str]) -> None:
    written = format_labels(labels)
    assert parse_labels(written.split(",") if written else []) == labels


@given(LABELS, LABELS)
def test_what_is_required_must_be_there_and_more_does_no_harm(
    required: dict[str, str], more: dict[str, str]
) -> None:
    assert matches(required, {**more, **required})
    for key in required:
        assert not matches(required, {name: value for name, value in required.items() if name != key})


def test_a_label_without_a_value_asks_for_its_key_alone() -> None:
    assert matches({"gpu": ""}, {"gpu": "a100"})
    assert not matches({"gpu": "a100"}, {"gpu": ""})
    assert not matches({"gpu": "a100"}, {"gpu": "h100"})
    assert matches({}, {})


@pytest.mark.parametrize(
    "text",
    ["", "=x", "GPU", "a b", "-a", "a-", "a=b=c", "a= b", "a,b", "ä", "a=-", "k" * (MAX_KEY + 1)],
)
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a label"):
        parse_label(text)
    with pytest.raises(ValueError, match="is not a label"):
        parse_label("k=" + "v" * (MAX_VALUE + 1))


def test_a_label_given_twice_and_too_many_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        parse_labels(["os=linux", "os=macos"])
    with pytest.raises(ValueError, match="at most"):
        check_labels({f"k{number}": "" for number in range(MAX_LABELS + 1)})
