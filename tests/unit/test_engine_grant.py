"""Grants for engines elsewhere: what the control plane sealed opens, and nothing else does."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mvm_ci.domain.grant import GRANT_BYTES, Grant, opened, seal, well_formed
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import Placed

KEY = b"k" * 32
LARGEST = (1 << 63) - 1
numbers = st.integers(0, LARGEST)
placements = st.builds(Placed, numbers.map(JobId), numbers)
sessions = numbers.map(SessionId)


@given(placements, sessions)
def test_a_grant_opens_to_the_session_that_it_was_made_for(placed: Placed, session: SessionId) -> None:
    grant = seal(KEY, placed, session)
    assert len(grant.seal) == GRANT_BYTES
    assert well_formed(grant)
    assert opened(KEY, grant) == session


@given(placements, placements, sessions)
def test_a_grant_is_of_no_use_for_another_placement(
    placed: Placed, other: Placed, session: SessionId
) -> None:
    grant = replace(seal(KEY, placed, session), placed=other)
    assert (opened(KEY, grant) is None) == (other != placed)


@given(placements, sessions, st.integers(0, GRANT_BYTES - 1), st.integers(1, 255))
def test_a_byte_that_was_changed_makes_it_worthless(
    placed: Placed, session: SessionId, at: int, change: int
) -> None:
    grant = seal(KEY, placed, session)
    changed = bytearray(grant.seal)
    changed[at] ^= change
    assert opened(KEY, Grant(placed, bytes(changed))) is None


@given(placements, sessions, st.binary(max_size=32).filter(lambda key: key != KEY))
def test_another_key_opens_nothing(placed: Placed, session: SessionId, key: bytes) -> None:
    assert opened(key, seal(KEY, placed, session)) is None


@given(st.builds(Placed, st.integers().map(JobId), st.integers()), st.binary(max_size=64))
def test_whatever_else_comes_is_nobody_s(placed: Placed, noise: bytes) -> None:
    assert opened(KEY, Grant(placed, noise)) is None


@given(placements, sessions, st.binary(min_size=1, max_size=8))
def test_a_seal_of_another_length_is_none(placed: Placed, session: SessionId, more: bytes) -> None:
    grant = seal(KEY, placed, session)
    for other in (grant.seal + more, grant.seal[: -len(more)], b""):
        assert not well_formed(Grant(placed, other))
        assert opened(KEY, Grant(placed, other)) is None
