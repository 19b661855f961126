"""`/metrics`: what it shows, to whom; and that the page on metrics says the same."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mvm_ci.domain.grant import PeerRole
from mvm_ci.domain.role import Role
from mvm_ci.domain.segment import Segment
from mvm_ci.serving.families import Families
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import MODULE, TEAM, Stand, submit

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
Samples = dict[str, float]


async def scrape(api: httpx.AsyncClient) -> Samples:
    answer = await api.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    found: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = "".join(f" {value}" for name, value in sample.labels.items() if name != "le")
            found[sample.name + labels] = sample.value
    return found


@pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
async def test_figures_follow_what_happens(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    await submit(api)
    (item,) = await worker.assigned()
    await submit(api, 2)
    await stand.clock.advance(2_000)
    busy = await scrape(api)
    assert busy["mvm_ci_jobs claimed"] == busy["mvm_ci_jobs_at_workers"] == busy["mvm_ci_claims_total"] == 1
    assert busy["mvm_ci_jobs pending"] == 2
    assert (busy["mvm_ci_sessions"], busy["mvm_ci_slots"], busy["mvm_ci_credits"]) == (1, 4, 0)
    assert busy["mvm_ci_oldest_ready_seconds"] == pytest.approx(2, abs=0.1)
    assert busy["mvm_ci_ready_lanes"] == 1
    assert busy["mvm_ci_disk_free_bytes"] == 1 << 40
    await worker.end(item, credit=2)
    items = await worker.assigned(2)
    for item in items:
        await worker.end(item)
    idle = await scrape(api)
    assert (idle["mvm_ci_jobs completed"], idle["mvm_ci_jobs pending"]) == (3, 0)
    assert idle["mvm_ci_job_events_total submitted"] == idle["mvm_ci_job_events_total ended"] == 3
    assert idle["mvm_ci_claims_total"] == 3
    assert idle["mvm_ci_oldest_ready_seconds"] == idle["mvm_ci_jobs_at_workers"] == 0
    assert idle["process_resident_memory_bytes"] > 0
    commits = idle["mvm_ci_commit_seconds_count"]
    assert idle["mvm_ci_sync_seconds_count"] == commits
    assert idle["mvm_ci_sync_seconds_sum"] <= idle["mvm_ci_commit_seconds_sum"]
    assert (
        (commits > 0) == (idle["mvm_ci_wal_bytes"] > 0) == (idle["mvm_ci_commit_calls_total"] >= commits > 0)
    )


async def test_times_of_a_job_from_its_submission_to_its_end(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome()
    await submit(api, 2)
    await stand.clock.advance(400)
    await worker.send(m.Credit(2))
    items = await worker.assigned(2)
    await stand.clock.advance(30)
    await worker.send(m.Started((items[0].placed,)))
    await worker.beat()
    started = await scrape(api)
    for name, count, total in (("claim", 2, 0.8), ("start", 1, 0.03), ("end", 0, 0)):
        assert started[f"mvm_ci_job_{name}_seconds_count"] == count, name
        assert started[f"mvm_ci_job_{name}_seconds_sum"] == pytest.approx(total), name
    await stand.clock.advance(500)
    await worker.end(*items)
    ended = await scrape(api)
    # The second one's start was never told: its end counts.
    for name, count, total in (("claim", 2, 0.8), ("start", 2, 0.03 + 0.53), ("end", 2, 1.86)):
        assert ended[f"mvm_ci_job_{name}_seconds_count"] == count, name
        assert ended[f"mvm_ci_job_{name}_seconds_sum"] == pytest.approx(total), name


async def test_journal_lag_is_until_entries_are_durable(stand: Stand, api: httpx.AsyncClient) -> None:
    real = stand.queue.append

    async def slow(items: Sequence[Any]) -> Any:
        results = await real(items)
        stand.clock.jump(40)
        return results

    worker = await stand.worker()
    await worker.welcome(credit=1)
    await submit(api)
    (item,) = await worker.assigned()
    stand.queue.append = slow
    await worker.append(item.placed, Segment(0, 1, b"x"), Segment(1, 1, b"y"))
    found = await scrape(api)
    assert found["mvm_ci_journal_lag_seconds_count"] == 1
    assert found["mvm_ci_journal_lag_seconds_sum"] == pytest.approx(0.04)


async def test_workers_engines_and_how_they_are_connected(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, leaving, engine, lost = [await stand.worker() for _ in range(4)]
    await worker.welcome()
    await leaving.welcome()
    await leaving.send(m.Draining())
    await leaving.beat()
    await engine.welcome(role=PeerRole.ENGINE)
    await lost.welcome()
    found = await scrape(api)
    assert (found["mvm_ci_sessions"], found["mvm_ci_engines"]) == (3, 1)
    assert (found["mvm_ci_session_paths direct"], found["mvm_ci_session_paths relayed"]) == (4, 0)
    held = {reason: found[f"mvm_ci_sessions_held {reason}"] for reason in ("leaving", "draining", "stalled")}
    assert held == {"leaving": 1, "draining": 0, "stalled": 0}
    assert found["mvm_ci_sessions_lost_total"] == 0
    await lost.connection.close(0, "gone")
    lease_ms = stand.plane.sessions.lease_left_ms(next(iter(stand.plane.sessions.all())))
    for _ in range(2):
        await stand.clock.advance(lease_ms / 2 + 1)
        for one in (worker, leaving, engine):
            await one.beat()
    assert (await scrape(api))["mvm_ci_sessions_lost_total"] == 1


async def test_an_engine_in_the_control_plane_shows_its_figures_there(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    of = Families({"mvm_ci_engine_slots": "Guests that compute at once."})
    assert not any(name.startswith("mvm_ci_engine_") for name in await scrape(api))
    stand.plane.links.door.figures = lambda: [of.gauge("mvm_ci_engine_slots", 2)]
    assert (await scrape(api))["mvm_ci_engine_slots"] == 2


async def test_what_was_refused_is_counted(stand: Stand, api: httpx.AsyncClient) -> None:
    stand.disk.free = 0
    await stand.clock.advance(2_000)
    answer = await api.post("/v1/jobs", json={"jobs": [{"module": MODULE}]})
    assert answer.status_code == 429
    async with httpx.AsyncClient(base_url=stand.plane.api_url, trust_env=False) as nobody:
        assert (await nobody.get("/metrics")).status_code == 401
    found = await scrape(api)
    assert found["mvm_ci_submissions_refused_total disk-full"] == 1
    assert found["mvm_ci_submissions_refused_total queue-full"] == 0
    assert found["mvm_ci_tokens_refused_total"] == 1
    await submit_when_there_is_room(stand, api)
    after = await scrape(api)
    assert after["mvm_ci_audit_entries_total disk-full"] == found["mvm_ci_audit_entries_total disk-full"] == 1
    assert after["mvm_ci_audit_entries_total done"] == found["mvm_ci_audit_entries_total done"] + 1


async def submit_when_there_is_room(stand: Stand, api: httpx.AsyncClient) -> None:
    stand.disk.free = 1 << 40
    await stand.clock.advance(2_000)
    await submit(api)


async def test_a_viewer_of_all_namespaces_may_scrape_and_one_of_a_single_one_may_not(stand: Stand) -> None:
    async with stand.client(Role.VIEWER) as viewer, stand.client(Role.ADMIN, TEAM) as team:
        assert (await viewer.get("/metrics")).status_code == 200
        assert (await team.get("/metrics")).status_code == 403


async def test_the_page_on_metrics_lists_them_all_as_they_are(api: httpx.AsyncClient) -> None:
    listed = re.findall(
        r"^\| `(mvm_ci_(?!engine_)\w+)` \| (\w+) \| `?(\w*)`? ?\| (.+) \|$", PAGE.read_text(), re.MULTILINE
    )
    text = (await api.get("/metrics")).text
    shown = []
    for family in text_string_to_metric_families(text):
        if family.name.startswith("mvm_ci_"):
            labels = {name for sample in family.samples for name in sample.labels if name != "le"}
            name = family.name + ("_total" if family.type == "counter" else "")
            shown.append((name, family.type, "".join(labels), family.documentation))
    assert sorted(listed) == sorted(shown)
    others = {family.name for family in text_string_to_metric_families(text)} - {name for name, *_ in shown}
    assert {name for name in others if not name.startswith("mvm_ci_")} <= {
        name.removesuffix("_total") for name in re.findall(r"`(process_\w+)`", PAGE.read_text())
    }
