"""One suite for every store of artifacts: what ``ports.artifacts`` promises."""

import pytest
from msgspec.structs import replace

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import JobState, NewJob
from mvm_ci.domain.lane import lane
from mvm_ci.domain.options import DEFAULT_OPTIONS
from mvm_ci.domain.outcome import Released
from mvm_ci.domain.retention import Bounds
from mvm_ci.domain.segment import Prefix
from mvm_ci.ports.artifacts import ArtifactStore, Put, PutResult, StoredArtifact
from mvm_ci.ports.job_queue import Append, JobQueue, Segment
from mvm_ci.ports.retention import RetainedJobs
from tests.contract.jobs import (
    COMPLETED,
    FAILED,
    NOW,
    OTHER_SESSION,
    SESSION,
    claim,
    new_job,
    placed,
    reach,
    report,
)

ONE, TWO, THREE = (Digest(digit * 64) for digit in "123")
MOST = 3


def artifact(name: str, digest: Digest = ONE, size: int = 10, media: str = "") -> Artifact:
    return Artifact(name, digest, size, media)


def put(job: int, one: Artifact, number: int = 0, *, epoch: int = 1, at_ms: int = NOW) -> Put:
    return Put(placed=placed(job, epoch), number=number, artifact=one, at_ms=at_ms)


def given(number: int, *inputs: Artifact, namespace: str = "default") -> NewJob:
    options = replace(DEFAULT_OPTIONS, lane=lane(namespace))
    new = new_job(number, session=SESSION, options=options)
    return replace(new, spec=replace(new.spec, inputs=inputs))


def names(found: list[StoredArtifact]) -> list[str]:
    return [one.artifact.name for one in found]


async def test_what_was_put_is_there_by_name(queue: JobQueue, artifacts: ArtifactStore) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    await reach(queue, 2, JobState.CLAIMED)
    report_, log = artifact("report/a.html", media="text/html"), artifact("log", TWO, 0)
    assert await artifacts.put(put(1, report_), MOST) is PutResult.DONE
    assert await artifacts.put(put(1, log, 1, at_ms=NOW + 1), MOST) is PutResult.DONE
    # A short job's start is told by its end.
    assert await artifacts.put(put(2, log), MOST) is PutResult.DONE
    stored = StoredArtifact(artifact=report_, created_ms=NOW, input=False)
    assert await artifacts.artifact(JobId(1), "report/a.html") == stored
    assert await artifacts.artifacts(JobId(1)) == [
        StoredArtifact(artifact=log, created_ms=NOW + 1, input=False),
        stored,
    ]
    assert await artifacts.artifact(JobId(1), "Log") is None
    assert await artifacts.artifact(JobId(9), "log") is None
    assert await artifacts.artifacts(JobId(9)) == []


async def test_the_last_of_a_name_counts(queue: JobQueue, artifacts: ArtifactStore) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    for number, digest in enumerate((ONE, TWO, ONE, THREE)):
        assert await artifacts.put(put(1, artifact("x", digest, number), number), MOST) is PutResult.DONE
        (found,) = await artifacts.artifacts(JobId(1))
        assert (found.artifact.digest, found.artifact.size) == (digest, number)


async def test_a_repetition_that_comes_late_changes_nothing(
    queue: JobQueue, artifacts: ArtifactStore
) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    first, second = put(1, artifact("x", ONE), 5), put(1, artifact("x", TWO), 6)
    for one in (first, first, second, second, first):
        assert await artifacts.put(one, MOST) is PutResult.DONE
    (found,) = await artifacts.artifacts(JobId(1))
    assert found.artifact.digest == TWO


async def test_a_guest_that_was_run_again_may_put_other_bytes(
    queue: JobQueue, artifacts: ArtifactStore
) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    for digest, at_ms in ((ONE, NOW), (TWO, NOW + 1), (TWO, NOW + 2)):
        assert await artifacts.put(put(1, artifact("x", digest), 5, at_ms=at_ms), MOST) is PutResult.DONE
    (found,) = await artifacts.artifacts(JobId(1))
    assert (found.artifact.digest, found.created_ms) == (TWO, NOW + 1)


async def test_only_the_present_placement_puts(queue: JobQueue, artifacts: ArtifactStore) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    assert await artifacts.put(put(1, artifact("x", ONE), 7), MOST) is PutResult.DONE
    await queue.report([report(1, Released())], NOW)
    assert await artifacts.put(put(1, artifact("x", TWO), 8), MOST) is PutResult.STALE
    assert [job.epoch for job in await claim(queue, OTHER_SESSION, 1)] == [2]
    assert await artifacts.put(put(1, artifact("x", TWO), 8), MOST) is PutResult.STALE
    assert await artifacts.put(put(1, artifact("new", TWO), 9, epoch=3), MOST) is PutResult.STALE
    # The next placement repeats what was not in the journal, or puts something else.
    assert await artifacts.put(put(1, artifact("x", THREE), 7, epoch=2), MOST) is PutResult.DONE
    await queue.report([report(1, COMPLETED, epoch=2)], NOW)
    assert await artifacts.put(put(1, artifact("x", TWO), 8, epoch=2), MOST) is PutResult.STALE
    assert await artifacts.put(put(9, artifact("x", TWO)), MOST) is PutResult.STALE
    (found,) = await artifacts.artifacts(JobId(1))
    assert found.artifact.digest == THREE


async def test_a_job_has_no_more_than_it_may_have(queue: JobQueue, artifacts: ArtifactStore) -> None:
    await queue.submit([given(1, artifact("given"))])
    for number, name in enumerate(("a", "b")):
        assert await artifacts.put(put(1, artifact(name), number), MOST) is PutResult.DONE
    assert await artifacts.put(put(1, artifact("c"), 2), MOST) is PutResult.FULL
    assert await artifacts.put(put(1, artifact("a", TWO), 3), MOST) is PutResult.DONE
    assert names(await artifacts.artifacts(JobId(1))) == ["a", "b", "given"]


async def test_what_a_job_is_given_stays_as_it_is(queue: JobQueue, artifacts: ArtifactStore) -> None:
    inputs = (artifact("data", ONE, 5, "text/csv"), artifact("more", TWO, 6))
    await queue.submit([given(1, *inputs), given(2)])
    await queue.submit([given(1, artifact("again", THREE))])
    assert await artifacts.put(put(1, artifact("data", TWO)), MOST) is PutResult.INPUT
    assert await artifacts.artifacts(JobId(1)) == [
        StoredArtifact(artifact=one, created_ms=NOW, input=True) for one in inputs
    ]
    (job,) = await queue.get([JobId(1)])
    assert job is not None
    assert job.spec.inputs == inputs
    await queue.report([report(1, Released())], NOW)
    (claimed,) = await claim(queue, OTHER_SESSION, 1)
    assert claimed.spec.inputs == inputs


async def test_namespaces_hold_what_their_jobs_have_and_what_was_uploaded(
    queue: JobQueue, artifacts: ArtifactStore
) -> None:
    await queue.submit([given(1, artifact("data", ONE, 5)), given(2, namespace="team")])
    await artifacts.put(put(2, artifact("x", TWO, 6)), MOST)
    await artifacts.put(put(2, artifact("y", TWO, 6), 1), MOST)
    await artifacts.upload("team", ONE, 5, NOW)
    await artifacts.upload("team", THREE, 7, NOW)
    await artifacts.upload("team", THREE, 7, NOW + 5)
    assert await artifacts.held("default", [ONE, TWO, THREE]) == {ONE: 5}
    assert await artifacts.held("team", [ONE, TWO, THREE]) == {ONE: 5, TWO: 6, THREE: 7}
    assert await artifacts.held("team", [TWO]) == {TWO: 6}
    assert await artifacts.held("nobody", [ONE]) == {}
    assert [await artifacts.stored(of) for of in ("default", "team", "nobody")] == [5, 18, 0]
    assert await artifacts.referenced({ONE, TWO, Digest("9" * 64)}) == {ONE, TWO}


async def test_uploads_go_with_their_time_or_their_namespace(
    queue: JobQueue, artifacts: ArtifactStore
) -> None:
    await queue.submit([given(1, artifact("data", ONE, 5))])
    for namespace in ("default", "team"):
        for at_ms, digest in enumerate((ONE, TWO, THREE)):
            await artifacts.upload(namespace, digest, 5, NOW + at_ms)
    await artifacts.upload("team", ONE, 5, NOW + 9)
    assert await artifacts.forget_uploads(NOW + 2, 2) == 2
    assert await artifacts.forget_uploads(NOW + 2, 2) == 1
    assert await artifacts.forget_uploads(NOW + 2, 2) == 0
    assert await artifacts.held("default", [ONE, TWO, THREE]) == {ONE: 5, THREE: 5}
    assert set(await artifacts.held("team", [ONE, TWO, THREE])) == {ONE, THREE}
    await artifacts.forget_uploads_of("team")
    assert await artifacts.held("team", [ONE, TWO, THREE]) == {}
    assert await artifacts.referenced([ONE, TWO, THREE]) == {ONE, THREE}
    assert names(await artifacts.artifacts(JobId(1))) == ["data"]


async def test_artifacts_go_with_their_job(
    queue: JobQueue, artifacts: ArtifactStore, retained: RetainedJobs
) -> None:
    await queue.submit([given(number, artifact("data")) for number in (1, 2)])
    for number in (1, 2):
        await artifacts.put(put(number, artifact("x", TWO)), MOST)
        await queue.report([report(number, COMPLETED)], NOW)
    await queue.delete([JobId(1)])
    assert await artifacts.artifacts(JobId(1)) == []
    assert names(await artifacts.artifacts(JobId(2))) == ["data", "x"]
    assert (await retained.remove_finished(JobId(0), Bounds(JobId(9), NOW + 1), 10)).removed == 1
    assert await artifacts.artifacts(JobId(2)) == []
    assert await artifacts.referenced([ONE, TWO]) == set()


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.DEAD])
async def test_what_jobs_put_may_go_before_them(
    queue: JobQueue, artifacts: ArtifactStore, retained: RetainedJobs, state: JobState
) -> None:
    await queue.submit([given(1, artifact("data"))])
    await artifacts.put(put(1, artifact("x", TWO)), MOST)
    await queue.start([placed(1)], NOW)
    if state is JobState.COMPLETED:
        await queue.report([report(1, COMPLETED)], NOW)
    elif state is JobState.CANCELLED:
        await queue.cancel([JobId(1)], NOW)
        await queue.rescue(SESSION, NOW, 9)
    else:
        await queue.rescue(SESSION, NOW, 0)
    if state is JobState.FAILED:
        await queue.revive([JobId(1)])
        await claim(queue, OTHER_SESSION, 1)
        await queue.report([report(1, FAILED, epoch=2)], NOW)
    bounds = Bounds(JobId(9), NOW + 1)
    gone = state is not JobState.DEAD
    assert (await retained.remove_artifacts(JobId(0), Bounds(JobId(9), NOW), 10)).removed == 0
    assert (await retained.remove_artifacts(JobId(0), bounds, 10)).removed == gone
    assert (await retained.remove_artifacts(JobId(0), bounds, 10)).removed == 0 or not gone
    # What it was given it needs if it is tried again.
    assert names(await artifacts.artifacts(JobId(1))) == (["data"] if gone else ["data", "x"])


async def test_artifacts_count_among_what_a_job_holds(
    queue: JobQueue, artifacts: ArtifactStore, retained: RetainedJobs
) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    await queue.report([report(1, COMPLETED)], NOW)
    ((before,), _) = (await retained.finished(None, 10)).jobs, None
    await queue.submit([given(2, artifact("data", ONE, 1_000))])
    await artifacts.put(put(2, artifact("x", TWO, 20_000)), MOST)
    await queue.report([report(2, COMPLETED)], NOW)
    (held, _) = (await retained.finished(None, 10)).jobs
    assert held.held_bytes == before.held_bytes + 21_000


async def test_a_fork_has_what_it_was_given_and_what_its_beginning_put(
    queue: JobQueue, artifacts: ArtifactStore
) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    assert await queue.append([(placed(1), Segment(0, 3, b"..."))]) == [Append.DONE]
    beginning = Prefix(
        job=JobId(1), attempt=1, length=3, begin=0, end=3, others=(), artifacts=(artifact("log", TWO, 20),)
    )
    new = replace(given(7, artifact("in.csv", THREE, 30)), session=None)
    assert await queue.fork(new, beginning)
    assert await queue.fork(new, beginning), "it is there"
    found = await artifacts.artifacts(JobId(7))
    assert [(one.artifact.name, one.artifact.digest, one.input) for one in found] == [
        ("in.csv", THREE, True),
        ("log", TWO, False),
    ]
    # What it puts itself takes the place of the first job's.
    assert [claimed.id for claimed in await claim(queue, SESSION, 1)] == [JobId(7)]
    assert await artifacts.put(put(7, artifact("log", ONE)), MOST) is PutResult.DONE
    assert await artifacts.put(put(7, artifact("in.csv", ONE), 1), MOST) is PutResult.INPUT
    kept = await artifacts.artifact(JobId(7), "log")
    assert kept is not None
    assert kept.artifact.digest == ONE


async def test_a_fork_that_cannot_be_has_no_artifacts(queue: JobQueue, artifacts: ArtifactStore) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    beginning = Prefix(
        job=JobId(1), attempt=1, length=3, begin=0, end=3, others=(), artifacts=(artifact("log", TWO, 20),)
    )
    assert not await queue.fork(given(7, artifact("in.csv", THREE, 30)), beginning)
    assert await artifacts.artifacts(JobId(7)) == []
    assert await artifacts.referenced([TWO, THREE]) == set()
