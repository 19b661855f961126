"""`/metrics`: what it shows, to whom; and that the page on metrics says the same."""

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mvm_ci.domain.role import Role
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
    assert (
        (commits > 0) == (idle["mvm_ci_wal_bytes"] > 0) == (idle["mvm_ci_commit_calls_total"] >= commits > 0)
    )


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
        r"^\| `(mvm_ci_(?!engine)\w+)` \| (\w+) \| `?(\w*)`? ?\| (.+) \|$", PAGE.read_text(), re.MULTILINE
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
