"""Masking: a secret stands nowhere afterwards, in any of its spellings; and all else stays as it was."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvm_ci.domain.masking import MASK, Mask, forms_of

ANY_TIME = settings(deadline=None)
CHARACTERS = st.characters(codec="utf-8", exclude_characters="*")
"""No asterisk: with what stands for one secret, text around it might spell another."""
SECRETS = st.text(CHARACTERS, min_size=4, max_size=40)
PIECES = st.lists(st.text(CHARACTERS, max_size=30), max_size=4)


def spellings(secret: str) -> dict[str, bytes]:
    """A secret as programs write it, made by other means than the mask's where there are any."""
    data = secret.encode()
    found = {
        "exact": data,
        "json": json.dumps(secret).encode(),
        "json, no escapes but the necessary": json.dumps(secret, ensure_ascii=False).encode(),
        "python": repr(secret).encode(),
        "hex": data.hex().encode(),
        "HEX": data.hex().upper().encode(),
        "url": quote(secret, safe="").encode(),
        "url path": quote(secret).encode(),
        "form": quote_plus(secret).encode(),
        "component": quote(secret, safe="!'()*").encode(),
    }
    for before in range(3):
        for after in range(3):
            around = b"<" * before + data + b">" * after
            found[f"base64, {before} before, {after} after"] = base64.b64encode(around)
            found[f"url-safe base64, {before} before, {after} after"] = base64.urlsafe_b64encode(around)
    return found


def core(encoded: bytes, secret: str, before: int) -> bytes:
    """The characters of base64 that the secret alone decides."""
    return encoded[(0, 2, 3)[before] : (before + len(secret.encode())) * 8 // 6]


@ANY_TIME
@given(SECRETS, st.binary(max_size=40), st.binary(max_size=40))
def test_no_spelling_is_left(secret: str, before: bytes, after: bytes) -> None:
    mask = Mask([secret])
    for name, spelled in spellings(secret).items():
        masked = mask.data(before + spelled + after)
        assert MASK in masked, name
        for form in forms_of(secret):
            assert form not in masked, name


@ANY_TIME
@given(SECRETS)
def test_of_base64_only_the_ends_are_left(secret: str) -> None:
    mask = Mask([secret])
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"x" * before + secret.encode() + b"yz")
            masked = mask.data(encoded)
            assert core(encoded, secret, before) not in masked
            assert len(masked.replace(MASK, b"")) <= len(encoded) - len(core(encoded, secret, before))


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("s3cr3t", "the word is s3cr3t.", "the word is ***."),
        ("s3cr3t", "s3cr3ts3cr3t", "******"),
        ("abab", "xababab", "x***"),
        ("a b/c", "GET /a%20b%2Fc /a%20b/c?q=a+b%2fc", "GET /*** /***?q=***"),
        ("päss", "p%C3%A4ss p%c3%a4ss p\\u00e4ss p\\u00E4ss", "*** *** *** ***"),
        ('say "hi"', '{"x": "say \\"hi\\""}', '{"x": "***"}'),
        ("two\nlines", "KeyError: 'two\\nlines'", "KeyError: '***'"),
        ("hunter22", "68756e7465723232 68756E7465723232", "*** ***"),
        ("hunter22", "Basic " + base64.b64encode(b"me:hunter22").decode(), "Basic bWU6***I="),
        ("hunter22", "Hunter22 hunter2", "Hunter22 hunter2"),
        (" hunter22\n", "hunter22, 68756e7465723232, < hunter22\n>", "***, ***, <***>"),
        ("  ab ", "ab,   ab ", "ab, ***"),
    ],
)
def test_texts(secret: str, said: str, shown: str) -> None:
    assert Mask([secret]).text(said) == shown


def test_overlapping_secrets_are_masked_as_a_whole() -> None:
    assert Mask(["abcdef", "defghi"]).text("<abcdefghi>") == "<***>"
    assert Mask(["pass", "password1"]).text("password1 pass") == "*** ***"


@ANY_TIME
@given(st.lists(SECRETS, max_size=3), st.binary(max_size=200))
def test_what_holds_no_secret_stays_as_it_is(secrets: list[str], data: bytes) -> None:
    forms = {form for secret in secrets for form in forms_of(secret)}
    if not any(form in data for form in forms):
        assert Mask(secrets).data(data) == data


# -------------------------------------------------------------------- JSON

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(CHARACTERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(CHARACTERS), inner, max_size=3),
)


def texts_in(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in texts_in(item)]
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in texts_in(item)]
    return [] if value is None or isinstance(value, bool) else [json.dumps(value)]


@ANY_TIME
@given(SECRETS, JSON)
def test_json_stays_json_and_holds_no_secret(secret: str, value: object) -> None:
    told = {"": f"<{secret}>", secret: [secret, value], "0": json.dumps({"": secret})}
    mask = Mask([secret])
    for ascii_only in (True, False):
        masked = json.loads(mask.json(json.dumps(told, ensure_ascii=ascii_only).encode()))
        assert [form for text in texts_in(masked) for form in forms_of(secret) if form in text.encode()] == []


@ANY_TIME
@given(SECRETS, JSON)
def test_json_without_a_secret_keeps_every_byte(secret: str, value: object) -> None:
    document = json.dumps(value, indent=1).encode()
    forms = forms_of(secret)
    if not any(form in text.encode() for text in [*texts_in(value), document.decode()] for form in forms):
        assert Mask([secret]).json(document) == document


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("123456", b'{"pin": 123456, "n": 1234567, "e": 1.5e3}', b'{"pin": "***", "n": "***", "e": 1.5e3}'),
        ('"}, {', b'[{"a": "x"}, {"b": "\\"}, {"}]', b'[{"a": "x"}, {"b": "***"}]'),
        ("hunter22", b'["hunter\\u0032\\u0032",  1.50]', b'["***",  1.50]'),
        ("a/bc", b'"a\\/bc"', b'"***"'),
        ("hunter22", b"not JSON: hunter22", b"not JSON: ***"),
        ("hunter22", b"\xff\x00hunter22", b"\xff\x00***"),
    ],
)
def test_documents(secret: str, said: bytes, shown: bytes) -> None:
    assert Mask([secret]).json(said) == shown


# -------------------------------------------------------------------- in pieces


def in_pieces(mask: Mask, pieces: list[bytes]) -> bytes:
    shown, held = b"", b""
    for piece in pieces:
        now, held = mask.split(held + piece)
        assert len(held) <= mask.longest
        shown += now
    return shown + mask.data(held)


@st.composite
def told_in_pieces(draw: st.DrawFn) -> tuple[list[str], list[bytes]]:
    """Secrets, and a text that tells them in some of their spellings, in pieces."""
    secrets = draw(st.lists(SECRETS, min_size=1, max_size=3))
    forms = sorted({form for secret in secrets for form in forms_of(secret)})
    form = st.sampled_from(forms)
    part = st.one_of(st.binary(max_size=6), form, form.map(lambda whole: whole[:-1]))
    told = b"".join(draw(st.lists(part, max_size=8)))
    cuts = sorted(draw(st.lists(st.integers(0, len(told)), max_size=6)))
    ends = zip([0, *cuts], [*cuts, len(told)], strict=True)
    return secrets, [told[start:end] for start, end in ends]


def may_overlap(one: bytes, other: bytes) -> bool:
    return any(other.startswith(one[at:]) for at in range(1, len(one))) or (one != other and one in other)


@ANY_TIME
@given(told_in_pieces())
def test_a_text_in_pieces_tells_no_more_than_the_whole(told: tuple[list[str], list[bytes]]) -> None:
    secrets, pieces = told
    mask = Mask(secrets)
    whole, shown = mask.data(b"".join(pieces)), in_pieces(mask, pieces)
    for form in mask._forms:
        assert form not in shown or b"*" in form
    left, rest = shown.replace(MASK, b""), iter(shown.replace(MASK, b""))
    assert all(byte in rest for byte in whole.replace(MASK, b"")), "nothing else is lost"
    if not any(may_overlap(one, other) for one in mask._forms for other in mask._forms):
        assert left == whole.replace(MASK, b"")


@ANY_TIME
@given(SECRETS, st.integers(1, 200))
def test_wherever_a_secret_is_cut_it_is_masked(secret: str, at: int) -> None:
    mask = Mask([secret])
    for form in forms_of(secret):
        assert in_pieces(mask, [b"<" + form[:at], form[at:] + b">"]) == mask.data(b"<" + form + b">")


def test_what_cannot_be_a_beginning_is_shown_at_once() -> None:
    mask = Mask(["hunter22"])
    assert mask.split(b"waiting for hun\n") == (b"waiting for hun\n", b"")
    assert mask.split(b"waiting for hunter") == (b"waiting for ", b"hunter")
    assert Mask(["two\nlines"]).split(b"and two\n") == (b"and ", b"two\n")
    assert Mask(["pass", "password1"]).split(b"my pass") == (b"my ", b"pass")


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_what_repeats_itself_is_not_held_back_without_end(size: int) -> None:
    mask = Mask(["abababab"])
    assert len(in_pieces(mask, [b"ab"] * size).replace(MASK, b"")) < mask.longest
