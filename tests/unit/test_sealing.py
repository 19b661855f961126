"""Sealing: what is stored tells nothing, and cannot be changed or put elsewhere."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvm_ci.adapters.sealing.aes_gcm import AesGcmSealer, key_id
from mvm_ci.ports.secrets import NotOurs

OLD, NEW = b"o" * 32, b"n" * 32
PLAIN, BOUND = b"hunter22", b"default TOKEN 1"


@settings(deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=50))
def test_what_is_sealed_can_be_opened(plain: bytes, bound: bytes) -> None:
    sealer = AesGcmSealer([NEW])
    sealed = sealer.seal(plain, bound)
    assert sealer.open(sealed, bound) == plain
    assert len(plain) < 4 or plain not in sealed


def test_the_same_value_is_never_sealed_alike() -> None:
    sealer = AesGcmSealer([NEW])
    assert len({sealer.seal(PLAIN, BOUND) for _ in range(100)}) == 100


def test_it_opens_with_the_same_bound_only() -> None:
    sealer = AesGcmSealer([NEW])
    with pytest.raises(NotOurs):
        sealer.open(sealer.seal(PLAIN, BOUND), b"default TOKEN 2")


def test_no_byte_can_be_changed_and_nothing_cut_off() -> None:
    sealer = AesGcmSealer([NEW])
    sealed = sealer.seal(PLAIN, BOUND)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(NotOurs):
            sealer.open(bytes(changed), BOUND)
        with pytest.raises(NotOurs):
            sealer.open(sealed[:at], BOUND)


def test_the_first_key_seals_and_all_open() -> None:
    old, both = AesGcmSealer([OLD]), AesGcmSealer([NEW, OLD])
    before = old.seal(PLAIN, BOUND)
    assert both.open(before, BOUND) == PLAIN
    after = both.seal(PLAIN, BOUND)
    assert (both.key_of(before), both.key_of(after)) == (key_id(OLD), key_id(NEW))
    assert both.key == key_id(NEW)
    assert AesGcmSealer([NEW]).open(after, BOUND) == PLAIN
    assert not old.knows(key_id(NEW))
    with pytest.raises(NotOurs, match=f"sealed by the key {key_id(NEW)}, which is not known"):
        old.open(after, BOUND)


def test_a_key_s_id_does_not_tell_it() -> None:
    assert len(key_id(NEW)) == 16
    assert key_id(NEW) not in NEW.hex()
    assert NEW.hex() not in repr(vars(AesGcmSealer([NEW])))
