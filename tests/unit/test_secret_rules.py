"""What a secret may be, and which jobs may read it."""

import pytest

from mvm_ci.domain import secrets as rules
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import Digest

DIGEST = Digest("ab" * 32)


@pytest.mark.parametrize("name", ["T", "API_TOKEN", "_x", "0a", "db.password-2", "a" * 100])
def test_a_name(name: str) -> None:
    assert rules.check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "ä", "a\n", "a" * 101, "a=b"])
def test_no_name(name: str) -> None:
    with pytest.raises(BadInput, match=r"jobs\[0\].secrets: .* is no name of a secret"):
        rules.check_name(name, "jobs[0].secrets")


def test_a_job_names_each_secret_once_and_not_too_many() -> None:
    rules.check_names([f"S{n}" for n in range(rules.MAX_OF_JOB)], "secrets")
    with pytest.raises(BadInput, match="secrets: 33 secrets; at most 32"):
        rules.check_names([f"S{n}" for n in range(rules.MAX_OF_JOB + 1)], "secrets")
    with pytest.raises(BadInput, match="names a secret twice"):
        rules.check_names(["A", "B", "A"], "secrets")


@pytest.mark.parametrize("value", ["abcd", "ääää", "x" * rules.MAX_BYTES, "two\nlines", " \t\0\n"])
def test_a_value(value: str) -> None:
    assert rules.check_value(value) == value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "0 characters; a secret has at least 4"),
        ("xyz", "soon guessed, and would be masked wherever"),
        ("x" * (rules.MAX_BYTES + 1), "32769 bytes of UTF-8; a secret has at most 32768"),
        ("ä" * rules.MAX_BYTES, "65536 bytes"),
    ],
)
def test_no_value_and_the_error_does_not_tell_it(value: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        rules.check_value(value)
    assert not value or value not in str(refused.value)


def test_modules_that_a_secret_allows() -> None:
    allowed = ("crawl", "crawl@1.0", DIGEST, "*")
    assert rules.check_modules([*allowed, "crawl"]) == allowed
    for wrong in ("", "Crawl", "crawl@", "@1", "a b", "**"):
        with pytest.raises(BadInput, match="is no published name, NAME@VERSION, digest or"):
            rules.check_modules([wrong])
    with pytest.raises(BadInput, match="101 modules; at most 100"):
        rules.check_modules([f"m{n}" for n in range(101)])


@pytest.mark.parametrize(
    ("modules", "named", "may"),
    [
        ((), "crawl", False),
        (("*",), "crawl", True),
        (("*",), DIGEST, True),
        (("crawl",), "crawl", True),
        (("crawl",), "crawl@1.0", True),
        (("crawl",), "crawler", False),
        (("crawl",), DIGEST, False),
        (("crawl@1.0",), "crawl@1.0", True),
        (("crawl@1.0",), "crawl@1.1", False),
        (("crawl@1.0",), "crawl", False),
        ((DIGEST,), DIGEST, True),
        ((DIGEST,), "crawl", True),
        (("cd" * 32,), DIGEST, False),
        (("other", "crawl"), "crawl", True),
    ],
)
def test_who_may_read_it(modules: tuple[str, ...], named: str, may: bool) -> None:  # noqa: FBT001 (a table)
    assert rules.allows(modules, named, DIGEST) is may
