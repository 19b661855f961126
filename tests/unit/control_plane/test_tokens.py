import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.tokens import TokenKind, digest, format_token, parse_token, same


@given(st.sampled_from(TokenKind), st.binary(min_size=32, max_size=32))
def test_a_token_gives_its_bytes_back(kind: TokenKind, random: bytes) -> None:
    token = format_token(kind, random)
    assert len(token) == len(kind.value) + 43
    assert parse_token(kind, token) == random


@given(st.text(max_size=60))
def test_other_text_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match="not a token"):
        parse_token(TokenKind.API, text)


def test_one_secret_has_one_spelling() -> None:
    token = format_token(TokenKind.JOIN, bytes(32))
    for wrong in (token[:-1] + "B", token + "=", token.upper(), token.replace("join", "api"), token + "é"):
        with pytest.raises(ValueError, match="not a token"):
            parse_token(TokenKind.JOIN, wrong)


def test_a_token_needs_all_its_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        format_token(TokenKind.API, b"short")


def test_digests_are_compared_whole() -> None:
    assert same(digest("a"), digest("a"))
    assert not same(digest("a"), digest("b"))
