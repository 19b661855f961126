"""How modules are called, and how a job says which one it is of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.module_names import (
    MAX_NAME,
    MAX_VERSION,
    NAME_PATTERN,
    VERSION_PATTERN,
    Reference,
    check_name,
    check_version,
    parse_reference,
)

DIGEST = "ab" * 32


@pytest.mark.parametrize("name", ["a", "0", "crawl", "crawl-2.0_x", "a" * MAX_NAME, DIGEST[1:]])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "Crawl", "-a", ".", "..", "_a", "a b", "a@b", "a/b", "ä", "a\n", "a" * (MAX_NAME + 1), DIGEST],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(BadInput, match="name: "):
        check_name(name)
    assert parse_reference(name) is None or "@" in name


@pytest.mark.parametrize(
    "version", ["1", "1.2.0", "v1", "2026-11-24", "1.0+abc", "A", "1" * MAX_VERSION, DIGEST]
)
def test_versions(version: str) -> None:
    assert check_version(version) == version


@pytest.mark.parametrize(
    "version", ["", ".", "..", "-1", "+", "1 0", "1@2", "1/2", "1\n", "1" * (MAX_VERSION + 1)]
)
def test_what_is_no_version(version: str) -> None:
    with pytest.raises(BadInput, match="version: "):
        check_version(version)
    assert parse_reference(f"crawl@{version}") is None


@pytest.mark.parametrize(
    "text", ["", "@", "@1", "crawl@", "Crawl", "Crawl@1", DIGEST, f"{DIGEST}@1", "a@1@2"]
)
def test_what_names_no_module(text: str) -> None:
    assert parse_reference(text) is None


NAMES = st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda name: len(name) != 64)
VERSIONS = st.from_regex(VERSION_PATTERN, fullmatch=True)


@given(name=NAMES, version=VERSIONS)
def test_a_name_and_a_version_are_read_back(name: str, version: str) -> None:
    assert parse_reference(name) == Reference(name, None)
    assert parse_reference(f"{name}@{version}") == Reference(name, version)


@given(st.text())
def test_whatever_is_read_is_a_name_and_a_version(text: str) -> None:
    found = parse_reference(text)
    if found is not None:
        check_name(found.name)
        assert found.version is None or check_version(found.version)
        assert text == (found.name if found.version is None else f"{found.name}@{found.version}")
