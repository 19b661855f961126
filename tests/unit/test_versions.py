import pytest

from mvm_ci.domain.versions import is_older


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("0.1.0", "0.2.0", True),
        ("0.2", "0.10", True),
        ("0.1.9", "0.1.10.dev1", True),
        ("1.0", "1.0.0", False),
        ("2.0.0", "1.9.9", False),
        ("test", "1.0.0", False),
        ("1.0.0", "unknown", False),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, than: str, *, older: bool) -> None:
    assert is_older(version, than) is older
