"""A stored journal is damaged while its job is paused: it goes on from what is whole, or says why not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from mvm_ci.adapters.sql.database import FILE
from tests.faults.conftest import Rig, Web

pytestmark = pytest.mark.parametrize("rig", ["60s"], indirect=True)


def paused_at_the_gate(rig: Rig, web: Web, *more: tuple[str, object]) -> str:
    """A job that has posted once, done ``more``, and waits for an answer; paused there."""
    rig.worker("first")
    steps = [("post", f"{web.url}/first"), *more, ("get", f"{web.url}/gate"), ("post", f"{web.url}/last")]
    (job,) = rig.submit(steps)
    web.at_the_gate()
    rig.ask("POST", f"/v1/jobs/{job}/pause")
    rig.cluster.until(lambda: rig.job(job)["state"] == "paused", "it is paused")
    web.gate.set()
    return job


def store(rig: Rig) -> sqlite3.Connection:
    return sqlite3.connect(rig.cluster.directory / "control-plane" / "store" / FILE, timeout=30)


def damage(rig: Rig, change: Callable[[bytes], bytes]) -> bytes:
    """Changes the last segment; what it was."""
    with closing(store(rig)) as connection:
        first, data = connection.execute("SELECT max(first), data FROM journal").fetchone()
        connection.execute("UPDATE journal SET data = ? WHERE first = ?", (change(data), first))
        connection.commit()
    assert isinstance(data, bytes)
    return data


def resume(rig: Rig, job: str) -> Any:
    """The job when it stands still again."""
    rig.ask("POST", f"/v1/jobs/{job}/resume")
    rig.cluster.until(lambda: rig.job(job)["state"] in {"paused", "completed"}, "it went on, or could not")
    return rig.job(job)


def test_a_torn_tail_is_taken_back_and_what_was_before_it_stands(rig: Rig, web: Web) -> None:
    job = paused_at_the_gate(rig, web, ("clock", None))
    before = rig.journal(job)
    damage(rig, lambda data: data[:-2])
    ended = resume(rig, job)
    assert ended["state"] == "completed"
    assert web.posts == {"/first": 1, "/last": 1}
    assert [kind for kind, _ in rig.journal(job)].count("ClockRead") == 1
    assert rig.journal(job)[: len(before) - 1] == before[:-1]
    assert rig.plane is not None
    assert "journal_tail_was_torn" in rig.plane.stderr


def test_a_request_whose_result_was_torn_is_interrupted_and_not_repeated(rig: Rig, web: Web) -> None:
    job = paused_at_the_gate(rig, web)
    assert rig.journal(job)[-1][0] == "HttpDone"
    damage(rig, lambda data: data[:-2])
    ended = resume(rig, job)
    assert ended["state"] == "completed"
    assert ended["result"][0] == "interrupted"
    assert web.posts == {"/first": 1, "/last": 1}


def test_a_changed_byte_pauses_the_job_until_it_is_repaired(rig: Rig, web: Web) -> None:
    job = paused_at_the_gate(rig, web)
    whole = damage(rig, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    for _ in range(2):
        stands = resume(rig, job)
        assert (stands["state"], stands["failure"]["kind"]) == ("paused", "engine")
        assert "the checksum does not match" in stands["failure"]["message"]
    assert web.posts == {"/first": 1}
    damage(rig, lambda _: whole)
    assert resume(rig, job)["state"] == "completed"
    assert web.posts == {"/first": 1, "/last": 1}


def test_a_missing_segment_pauses_the_job(rig: Rig, web: Web) -> None:
    job = paused_at_the_gate(rig, web)
    with closing(store(rig)) as connection:
        connection.execute("DELETE FROM journal WHERE first = (SELECT max(first) FROM journal)")
        connection.commit()
    stands = resume(rig, job)
    assert (stands["state"], stands["failure"]["kind"]) == ("paused", "engine")
    assert "the journal ends here, it had" in stands["failure"]["message"]
    assert web.posts == {"/first": 1}
    assert rig.plane is not None
    assert "journal_damaged" in rig.plane.stderr
