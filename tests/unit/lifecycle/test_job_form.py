"""Jobs of one request that have all but their input in common are checked once."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import Digest
from mvm_ci.lifecycle.job_form import Form, Forms
from mvm_ci.ports.catalogue import ModuleInfo
from mvm_ci.wire.api import SubmitJob

MODULES = {
    name: ModuleInfo(
        digest=Digest(name * 64), name=name, kind="core", size=0, created_ms=1, allow_hosts=("example.org",)
    )
    for name in "ab"
}
NOW = 1_700_000_000_000
ARTIFACTS = {Digest("c" * 64): 7}

jobs = st.builds(
    SubmitJob,
    module=st.sampled_from("ab"),
    name=st.sampled_from(["", "n"]),
    allow_hosts=st.sampled_from([None, (), ("other.org",)]),
    timeout_s=st.sampled_from([1.0, 2.0]),
    memory_mb=st.sampled_from([1, 2]),
    queue=st.sampled_from(["q", "r"]),
    priority=st.sampled_from([4, 5]),
    max_attempts=st.sampled_from([1, 2]),
    labels=st.sampled_from([{}, {"gpu": ""}]),
    run_at_ms=st.sampled_from([None, NOW + 1]),
    start_within_s=st.sampled_from([None, 1.0]),
    tags=st.sampled_from([(), ("t",)]),
    metadata=st.sampled_from([{}, {"k": "v"}]),
    fairness_key=st.sampled_from(["", "f"]),
    idempotency_key=st.sampled_from([None, "i"]),
    inputs=st.sampled_from([{}, {"data/in.csv": "c" * 64}]),
)


def alone(number: int, job: SubmitJob) -> Form:
    return Forms(MODULES, ARTIFACTS, "default", NOW).of(number, job)


@given(st.lists(jobs, max_size=12))
def test_a_job_has_the_form_that_it_has_alone(asked: Sequence[SubmitJob]) -> None:
    together = Forms(MODULES, ARTIFACTS, "default", NOW)
    assert [together.of(number, job) for number, job in enumerate(asked)] == [
        alone(number, job) for number, job in enumerate(asked)
    ]


def test_a_wrong_job_is_named_behind_right_ones() -> None:
    forms = Forms(MODULES, ARTIFACTS, "default", NOW)
    right = SubmitJob(module="a")
    forms.of(0, right)
    forms.of(1, right)
    for number in (2, 3):  # the second time, too
        with pytest.raises(BadInput, match=rf"^jobs\[{number}\]\.priority: 10 "):
            forms.of(number, replace(right, priority=10))
