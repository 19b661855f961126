"""The transition table: its shape, and the functions that read it."""

import pytest

from mvm_ci.domain.errors import IllegalTransition
from mvm_ci.domain.job import FINAL, PLACED, TRANSITIONS, Event, JobState, sources, transition

# Stored and shown: a change here is a change of every state file there is.
STORED = {
    "pending": 0,
    "claimed": 1,
    "in_progress": 2,
    "suspended": 3,
    "scheduled": 4,
    "cancelling": 5,
    "paused": 6,
    "completed": 7,
    "failed": 8,
    "cancelled": 9,
    "dead": 10,
    "blocked": 11,
    "pausing": 12,
}


def test_stored_numbers_and_names_stay() -> None:
    assert {state.label: int(state) for state in JobState} == STORED


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(JobState)
    assert set(Event) == {event for events in TRANSITIONS.values() for event in events}


def test_only_a_person_leads_out_of_a_final_state_and_something_leads_out_of_every_other() -> None:
    left = {state: set(events) for state, events in TRANSITIONS.items()}
    assert left.pop(JobState.COMPLETED) == set()
    revived = {state for state, events in left.items() if events == {Event.REVIVE}}
    assert revived == FINAL - {JobState.COMPLETED}
    assert all(left.values())


@pytest.mark.parametrize("state", sorted(set(JobState) - FINAL))
def test_every_job_can_be_cancelled_until_it_ended(state: JobState) -> None:
    seen = {state}
    while seen.isdisjoint({JobState.CANCELLED}):
        seen = {TRANSITIONS[s].get(Event.CANCEL, TRANSITIONS[s].get(Event.STOPPED, s)) for s in seen}
    assert seen == {JobState.CANCELLED}


@pytest.mark.parametrize("state", JobState)
def test_every_state_can_be_reached(state: JobState) -> None:
    reached = {JobState.PENDING, JobState.SCHEDULED, JobState.BLOCKED}  # as jobs are submitted
    for _ in JobState:
        reached |= {after for before in reached for after in TRANSITIONS[before].values()}
    assert state in reached


@pytest.mark.parametrize("state", sorted(PLACED))
def test_a_placed_job_has_a_way_out_when_its_worker_is_lost(state: JobState) -> None:
    assert transition(state, Event.LOSE) not in PLACED
    assert transition(state, Event.BURY) in FINAL | {JobState.PAUSED}


def test_a_cancellation_wins_against_every_end_but_a_result() -> None:
    ends = TRANSITIONS[JobState.CANCELLING]
    assert ends[Event.COMPLETE] is JobState.COMPLETED
    assert {after for event, after in ends.items() if event is not Event.COMPLETE} == {JobState.CANCELLED}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", JobState)
def test_transition_and_sources_agree_with_the_table(state: JobState, event: Event) -> None:
    assert (state in sources(event)) == (event in TRANSITIONS[state])
    if state in sources(event):
        assert transition(state, event) is TRANSITIONS[state][event]
        return
    with pytest.raises(IllegalTransition) as caught:
        transition(state, event)
    assert (caught.value.state, caught.value.event) == (state.label, event.value)
    assert str(caught.value) == f"a job that is {state.label} cannot {event.value}"
