"""The queue of a control plane without workers: back-pressure, and names that need care."""

from __future__ import annotations

import json

import pytest

from mvm_ci.client import Client
from mvm_ci.domain.errors import DiskFull, QueueFull
from mvm_ci.testing.cluster import Cluster
from mvm_ci.wire import api


def connected(cluster: Cluster) -> Client:
    found = json.loads(cluster.credentials.read_text())
    return Client(found["url"], found["token"])


def test_a_full_queue_takes_jobs_again_when_some_have_ended(empty: Cluster, noop: str) -> None:
    empty.control_plane("--max-jobs", "2")
    module = empty.ok("module", "push", noop)
    with connected(empty) as client:
        job = api.SubmitJob(module=module)
        first, second = client.submit([job, job])
        with pytest.raises(QueueFull, match="limit of 2") as caught:
            client.submit([job])
        assert caught.value.retry_after_s > 0
        refused = empty.run("job", "submit", module[:8])
        assert (refused.returncode, refused.stdout) == (3, "")
        assert client.cancel(first.id).cancelled == "done"
        (third,) = client.submit([job])
        assert [one.id for one in client.all_jobs()] == [third.id, second.id, first.id]


def test_a_disk_without_room_takes_no_jobs(empty: Cluster, noop: str) -> None:
    empty.control_plane("--min-free", "4096TiB")
    module = empty.ok("module", "push", noop)
    with connected(empty) as client:
        with pytest.raises(DiskFull, match="MiB are free"):
            client.submit([api.SubmitJob(module=module)])
        assert client.jobs().jobs == ()


def test_a_queue_may_have_a_slash_in_its_name(empty: Cluster) -> None:
    empty.control_plane()
    for name in ("team/nightly", "a b?c#d%2F"):
        empty.ok("queue", "pause", name)
        assert empty.json("queue", "list")["queues"] == [{"name": name, "paused": True}]
        empty.ok("queue", "resume", name)
    assert empty.json("queue", "list")["queues"] == []


def test_jobs_are_found_by_metadata_with_commas(empty: Cluster, noop: str) -> None:
    empty.control_plane()
    module = empty.ok("module", "push", noop)
    job = empty.ok("job", "submit", module[:8], "--meta", "sizes=1,2 & 100%", "--tag", "a,b")
    empty.ok("job", "submit", module[:8], "--meta", "sizes=1", "--tag", "a")
    found = empty.json("job", "list", "--meta", "sizes=1,2 & 100%", "--tag", "a,b")
    assert [one["id"] for one in found["jobs"]] == [job]
