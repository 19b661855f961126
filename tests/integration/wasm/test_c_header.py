"""The functions of ``guest/c/mvm_ci.h`` for documents, in a guest, against Python's."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guest.build_c import build_c
from tests.integration.wasm.conftest import GUESTS, Load
from tests.integration.wasm.fakes import FakeHost, OnlyGuest
from tests.integration.wasm.test_core_guest import LIMITS

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts, st.sampled_from(['"', '\\"x":', "{[,", "\\"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner)),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def documents(load: Load) -> OnlyGuest:
    return load(build_c(GUESTS / "tests" / "documents.c"))


def field(guest: OnlyGuest, name: str, document: str) -> str:
    return guest.run(f"{name}\n{document}".encode(), FakeHost(), LIMITS).decode()


@settings(max_examples=200, deadline=None)
@given(before=values, wanted=values, style=st.sampled_from([{}, {"indent": 1}, {"ensure_ascii": False}]))
def test_a_member_is_found(documents: OnlyGuest, before: Any, wanted: Any, style: dict[str, Any]) -> None:
    whole = {"ok": {"before": before, "x": wanted, "after": 1}}
    found = field(documents, "x", json.dumps(whole, **style))
    assert json.loads(f'"{found}"' if isinstance(wanted, str) else found) == wanted


@pytest.mark.parametrize("document", ["", "{}", '{"xx": 1}', '{"a": "x"}', '{"x" 1}', '{"x', '["x"]'])
def test_a_member_that_is_not_there(documents: OnlyGuest, document: str) -> None:
    assert field(documents, "x", document) == ""


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=50))
def test_base64(documents: OnlyGuest, data: bytes) -> None:
    assert documents.run(b"=" + data, FakeHost(), LIMITS) == base64.b64encode(data)
