"""Damage of a journal is repaired, if its tail is torn, or refused: never replayed as if it were whole.

The oracle: whatever is repaired is a prefix of the journal, cut where a segment began.
"""

from collections.abc import Iterator
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.errors import CorruptJournal
from mvm_ci.domain.http import HttpFailure, HttpResponse
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import decode, split
from mvm_ci.journal.damage import Mended, is_torn, mend
from mvm_ci.journal.entries import (
    Began,
    ClockRead,
    Entry,
    Finished,
    HttpDone,
    HttpIntent,
    Logged,
    Memoized,
    Placement,
    Slept,
)

DIGEST = Digest("0d" * 32)
texts = st.text(max_size=20)
numbers = st.integers(0, (1 << 63) - 1)
entries: st.SearchStrategy[Entry] = st.one_of(
    st.builds(ClockRead, st.booleans(), numbers),
    st.builds(Slept, numbers, st.none() | numbers),
    st.builds(Logged, st.sampled_from(["stdout", "log"]), texts, numbers),
    st.builds(HttpIntent, st.just(DIGEST), texts),
    st.builds(
        HttpDone,
        st.just(DIGEST),
        texts,
        st.builds(HttpFailure, texts, texts)
        | st.builds(HttpResponse, numbers, texts, st.just((("a", "b"),)), st.binary(max_size=20)),
        numbers,
        numbers,
    ),
    st.builds(Finished, st.binary(max_size=20) | st.builds(BlobRef, st.just(DIGEST), numbers), st.none()),
    st.builds(Placement, numbers, texts, numbers),
    st.builds(Memoized, texts, st.none() | st.binary(max_size=20), numbers, numbers, numbers, numbers),
)
BEGAN = Began(2, DIGEST, DIGEST, bytes(range(32)), 1)


@st.composite
def journals(draw: st.DrawFn) -> list[Segment]:
    """A journal of a few segments."""
    found = [BEGAN, *draw(st.lists(entries, max_size=40))]
    sizes = draw(st.lists(st.integers(1, 20), max_size=4))
    edges = [0, *(edge for edge in accumulate(sizes) if edge < len(found)), len(found)]
    return [segment for a, b in pairwise(edges) for segment in split(found[a:b], a)]


def outcome(segments: list[Segment], length: int) -> tuple[int, list[Entry]] | None:
    """How many entries were given up, and what is left; None: refused."""
    try:
        mended = mend(segments, length)
        return mended.lost, decode(mended.segments)
    except CorruptJournal:
        return None


def truncations(journal: list[Segment]) -> Iterator[list[Segment]]:
    """The journal, as bytes one segment behind the other, cut everywhere."""
    for at, segment in enumerate(journal):
        for size in range(len(segment.data)):
            yield [*journal[:at], Segment(segment.first, segment.count, segment.data[:size])]


def flips(journal: list[Segment], mask: int) -> Iterator[tuple[int, list[Segment]]]:
    """The journal with one byte changed, each in turn, and in which segment it is."""
    for at, segment in enumerate(journal):
        for byte in range(len(segment.data)):
            data = bytearray(segment.data)
            data[byte] ^= mask
            changed = Segment(segment.first, segment.count, bytes(data))
            yield at, [*journal[:at], changed, *journal[at + 1 :]]


@given(journals())
def test_a_whole_journal_is_left_as_it_is(journal: list[Segment]) -> None:
    length = sum(segment.count for segment in journal)
    assert mend(journal, length) == mend(journal) == Mended(tuple(journal), 0)


@given(journals())
def test_every_truncation_is_cut_at_the_last_whole_segment_or_refused(journal: list[Segment]) -> None:
    length = sum(segment.count for segment in journal)
    for cut in truncations(journal):
        torn, whole = cut[-1], cut[:-1]
        assert is_torn(torn)
        assert mend(cut) == Mended(tuple(whole), torn.count), "it is the tail"
        reached = torn.first + torn.count
        # Segments behind it are missing: then it is more than a torn tail.
        assert outcome(cut, length) == ((torn.count, decode(whole)) if reached == length else None)


@given(journals(), st.integers(1, 255))
def test_every_flipped_byte_is_refused_or_in_the_tail_that_is_cut(journal: list[Segment], mask: int) -> None:
    length = sum(segment.count for segment in journal)
    for at, damaged in flips(journal, mask):
        found = outcome(damaged, length)
        if found is not None:
            lost, left = found
            assert at == len(journal) - 1, "only the last segment may be taken for torn"
            assert (lost, left) == (journal[-1].count, decode(journal[:-1]))


@given(journals(), st.data())
def test_what_is_missing_or_stands_elsewhere_is_refused(journal: list[Segment], data: st.DataObject) -> None:
    length = sum(segment.count for segment in journal)
    at = data.draw(st.integers(0, len(journal) - 1))
    assert outcome(journal[:at] + journal[at + 1 :], length) is None
    assert outcome([*journal[: at + 1], *journal[at:]], length) is None
    if len(journal) > 1:
        other = (at + 1) % len(journal)
        swapped = list(journal)
        swapped[at], swapped[other] = swapped[other], swapped[at]
        assert outcome(swapped, length) is None


@given(journals(), st.integers(-3, 3).filter(bool), st.data())
def test_wrong_places_and_counts_are_refused(
    journal: list[Segment], change: int, data: st.DataObject
) -> None:
    length = sum(segment.count for segment in journal)
    at = data.draw(st.integers(0, len(journal) - 1))
    first, count, body = journal[at].first, journal[at].count, journal[at].data
    for wrong in (Segment(first + change, count, body), Segment(first, count + change, body)):
        assert outcome([*journal[:at], wrong, *journal[at + 1 :]], length) is None
    assert outcome(journal, length + change) is None


@given(st.binary(max_size=200), st.integers(1, 20))
def test_noise_is_never_taken_for_a_journal(data: bytes, count: int) -> None:
    found = outcome([Segment(0, count, data)], count)
    assert found is None or found == (count, [])
