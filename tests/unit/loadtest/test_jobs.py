"""Requests of a profile, and what is made of their answers."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from mvm_ci.domain.errors import BadInput, ProtocolError
from mvm_ci.domain.module import inspect
from mvm_ci.loadtest import steps
from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.fleet import Api
from mvm_ci.loadtest.jobs import Checked, Jobs, Work, check
from mvm_ci.loadtest.profiles import Kind, Profile, profile
from mvm_ci.wire import api

MODULE = "m" * 64
STUB = "http://127.0.0.1:8000"


def jobs(which: Profile, *, batch: int = 1, seed: int = 0) -> Jobs:
    channel = Channel(Api(url="http://127.0.0.1:1", token="t"), connections=1, answer_s=1)
    return Jobs(channel, which, MODULE, batch=batch, turns_per_ms=10, stub=STUB, seed=seed)


def asked(work: Work) -> api.SubmitJobs:
    return msgspec.json.decode(work.request.split(b"\r\n\r\n", 1)[1], type=api.SubmitJobs)


def answer(*views: api.JobView) -> bytes:
    return msgspec.json.encode(api.Submitted(jobs=views))


def completed(result: object) -> api.JobView:
    raw = msgspec.Raw(msgspec.json.encode(result))
    return api.JobView(id="a" * 14, state="completed", result=raw, result_size=18)


def test_the_guest_is_a_module_that_can_run() -> None:
    assert inspect(steps.module()).kind == "core"


def test_what_a_guest_is_told() -> None:
    def given(text: str) -> str:
        return steps.guest_input(steps.parse(text), 1000.0, STUB)

    assert given("") == ""
    assert given("w100 c2 m16 d5") == "w100c2000m16d5"
    assert given("g p2") == f"g1p2 {STUB}"


def test_what_its_result_must_be() -> None:
    def must(text: str) -> str:
        return steps.result(steps.parse(text), 1.0)

    assert must("w5") == "0" * 16
    assert must("g2 p3") == f"{1000:016x}"
    by_hand = 1
    for _ in range(1000):
        by_hand = by_hand * 6364136223846793005 % 2**64
    assert must("c1000") == f"{by_hand:016x}"
    pages = sum(page * 6364136223846793005 for page in range(256)) % 2**64
    assert must("m1") == f"{pages:016x}"
    assert must("c1000 m1") == f"{(by_hand + pages) % 2**64:016x}"


def test_only_those_who_ask_a_stub_may_reach_it() -> None:
    (job,) = asked(jobs(profile("flow")).next()).jobs
    assert job.allow_hosts == ("127.0.0.1:8000",)
    assert msgspec.json.decode(job.input) == f"p5 {STUB}"
    (job,) = asked(jobs(profile("wait")).next()).jobs
    assert job.allow_hosts is None


def test_a_stub_that_is_missing_is_told() -> None:
    channel = Channel(Api(url="http://127.0.0.1:1", token="t"), connections=1, answer_s=1)
    with pytest.raises(BadInput, match="the profile mixed send requests to a stub, and there is none"):
        Jobs(channel, profile("mixed"), MODULE)


def test_a_batch_waits_for_all_its_jobs() -> None:
    work = jobs(profile("noop"), batch=7).next()
    body = asked(work)
    assert (len(body.jobs), body.wait_s) == (7, api.MAX_WAIT_S)
    assert body.jobs[0].module == MODULE
    assert work.results == ("0" * 16,) * 7


def test_shares_of_a_mix_are_kept() -> None:
    kinds = (Kind(3, steps.parse("w1")), Kind(1, steps.parse("w2")))
    made = jobs(Profile(name="mine", kinds=kinds), batch=10)
    inputs = Counter(msgspec.json.decode(job.input) for _ in range(400) for job in asked(made.next()).jobs)
    assert inputs["w1"] / 4000 == pytest.approx(0.75, abs=0.03)
    assert inputs.total() == 4000


def test_the_same_seed_asks_the_same() -> None:
    def first(seed: int) -> list[bytes]:
        made = jobs(profile("mixed"), seed=seed)
        return [made.next().request for _ in range(50)]

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_all_completed() -> None:
    work = jobs(profile("http"), batch=2).next()
    assert check(work, answer(*[completed(f"{200:016x}")] * 2)) == Checked(completed=2)


def test_a_wrong_result_is_a_failure() -> None:
    work = jobs(profile("http"), batch=2).next()
    found = check(work, answer(completed(f"{200:016x}"), completed(f"{500:016x}")))
    assert (found.completed, found.failed) == (1, 1)
    assert found.why == "completed with another result than it must have"
    assert check(work, answer(*[completed(None)] * 2)).failed == 2
    assert check(work, answer(*[api.JobView(id="a", state="completed")] * 2)).failed == 2


def test_failures_are_told() -> None:
    work = jobs(profile("noop"), batch=2).next()
    failed = api.JobView(id="a", state="failed", failure=api.FailureView(kind="guest", message="no"))
    waiting = api.JobView(id="a", state="pending")
    assert check(work, answer(completed("0" * 16), failed)).why == "failed: guest: no"
    assert check(work, answer(waiting, completed("0" * 16))).why == "did not end within 60 s, and is pending"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"jobs":[]}', b"\xff"])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        check(jobs(profile("noop")).next(), body)
