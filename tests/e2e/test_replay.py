"""``mvm-ci replay``, ``journal show`` and ``job fork`` on a real control plane and worker."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from guest.build_c import build_c
from mvm_ci.testing.cluster import Cluster
from tests.e2e.conftest import NETWORK, Gate

SOURCE = """#include "mvm_ci.h"
static char text[%d], answer[65536];
MVM_CI_RUN {
    mvm_ci_input_read(text, 0, mvm_ci_input_size());
    mvm_ci_log("first\\n", 6);
    mvm_ci_http_read(answer, 0, mvm_ci_http(text, mvm_ci_input_size()));
    mvm_ci_log("%s\\n", %d);
    mvm_ci_sleep_ms(3600000);
    mvm_ci_output("%s", %d);
    return 0;
}
"""
LARGE = 70_000
"""Bytes of the input, so that it is a blob."""


def built(directory: Path, second: str, result: str = '\\"done\\"') -> str:
    """A guest that asks for the request in its input; what it does then differs."""
    source = directory / f"{second}-{len(result)}.c"
    size = len(result.replace("\\\\", "").replace("\\", ""))
    source.write_text(SOURCE % (LARGE + 1000, second, len(second) + 1, result, size))
    return str(build_c(source))


def request_for(url: str) -> str:
    """A large input."""
    return json.dumps({"method": "GET", "url": url, "ignored": "p" * 6_000})


def test_a_running_job_is_replayed_and_forked_without_touching_it(
    shared: Cluster, gate: Gate, tmp_path: Path
) -> None:
    ours, other = built(tmp_path, "second"), built(tmp_path, "other")
    same = built(tmp_path, "second", '\\"fixed\\"')
    job = shared.ok("job", "submit", ours, "--input", request_for(gate.url), "--allow-host", "127.0.0.1:*")
    assert gate.arrived.acquire(timeout=60)

    # It waits for its answer: the replay would ask again, and does not.
    asks = shared.json("replay", job)
    assert (asks["verdict"], asks["stands"]) == ("agrees", "goes-on")
    assert asks["next"] == f"request GET {gate.url}"
    assert not gate.arrived.acquire(blocking=False)

    gate.opened.set()
    shared.until(lambda: shared.state(job) == "suspended", "it sleeps")
    entries = shared.journal(job)
    kinds = [entry["kind"] for entry in entries]
    assert kinds == ["Began", "Placement", "Logged", "HttpDone", "Logged", "Slept"]
    assert entries[3]["answer"].startswith("200, 16 bytes")

    replay = shared.run("replay", job, "--output")
    assert replay.returncode == 0, replay.stderr
    assert f"{job}: agrees with all 6 entries; it sleeps until " in replay.stdout
    assert "first\nsecond\n" in replay.stderr
    assert shared.run("replay", job, "--module", same).returncode == 0
    departs = shared.run("replay", job, "--module", other)
    assert departs.returncode == 1
    assert "departs at entry 4: the journal records 'second\\n' written to log" in departs.stdout
    assert not gate.arrived.acquire(blocking=False), "the outside saw one request"
    assert shared.state(job) == "suspended"

    # A fork before the request makes its own; one behind it does not.
    before = shared.ok("job", "fork", job, "--at", "3")
    behind = shared.ok("job", "fork", job, "--at", "4", "--module", shared.ok("module", "push", other))
    assert gate.arrived.acquire(timeout=60)
    for fork in (before, behind):
        shared.until(lambda fork=fork: shared.state(fork) == "suspended", "the fork sleeps")  # type: ignore[misc]
    assert not gate.arrived.acquire(blocking=False)
    shown = shared.json("job", "show", behind)
    assert shown["metadata"] == {"forked_at": "4", "forked_from": job}
    texts = [entry["summary"] for entry in shared.journal(behind)]
    assert "log: other" in texts
    assert "agrees" in shared.ok("replay", behind)
    for one in (job, before, behind):
        shared.ok("job", "cancel", one)


def test_all_unfinished_executions_are_checked_before_an_upgrade(shared: Cluster, tmp_path: Path) -> None:
    ours, other = built(tmp_path, "before"), built(tmp_path, "after")
    broken = tmp_path / "broken.wasm"
    broken.write_bytes(b"\0asm\1\0\0\0\xff")
    shared.ok("module", "push", ours, "--name", "upgraded")
    shared.ok("module", "push", built(tmp_path, "third"), "--name", "beside")
    refused = request_for("http://127.0.0.1:9/")
    queue = ("--queue", "upgrade")
    jobs = [shared.ok("job", "submit", "upgraded", *queue, "--input", refused) for _ in range(3)]
    beside = shared.ok("job", "submit", "beside", *queue, "--input", refused)
    for job in (*jobs, beside):
        shared.until(lambda job=job: shared.state(job) == "suspended", "it sleeps")  # type: ignore[misc]

    def replayed(*options: str) -> tuple[int, Any]:
        done = shared.run("replay", "--all", *queue, "--json", *options)
        return done.returncode, json.loads(done.stdout)

    code, found = replayed()
    counts = {module["name"]: (module["jobs"], module["agrees"]) for module in found["modules"]}
    assert (code, counts, found["jobs"]) == (0, {"upgraded": (3, 3), "beside": (1, 1)}, [])

    code, found = replayed("--module", f"upgraded={other}")
    (module,) = found["modules"]
    assert (code, module["jobs"], module["departs"], module["agrees"]) == (1, 3, 3, 0)
    assert {one["job"] for one in found["jobs"]} == set(jobs)
    assert {one["index"] for one in found["jobs"]} == {4}

    table = shared.run("replay", "--all", *queue, "--module", f"upgraded={other}")
    assert table.returncode == 1
    header, row, *rest = table.stdout.splitlines()
    assert header.split() == [
        "MODULE",
        "DIGEST",
        "BUILD",
        "JOBS",
        "AGREES",
        "DEPARTS",
        "DAMAGED",
        "UNDECIDED",
    ]
    assert row.split()[-5:] == ["3", "0", "3", "0", "0"]
    assert [line.split(":")[0] for line in rest] == sorted(jobs)

    code, found = replayed("--module", f"upgraded={ours}", "--name", "nobody")
    assert (code, found) == (0, {"modules": [], "jobs": []})
    wrong = shared.run("replay", "--all", "--module", f"upgraded={broken}")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert f"{broken} cannot run here" in wrong.stderr
    nobody = shared.run("replay", "--all", "--module", f"nobody={ours}")
    assert nobody.returncode == 5
    for job in (*jobs, beside):
        shared.ok("job", "cancel", job)


def test_who_may_only_look_replays_with_a_build_of_their_own(shared: Cluster, tmp_path: Path) -> None:
    ours = built(tmp_path, "second", '\\"of a viewer\\"')
    job = shared.ok("job", "submit", ours, "--input", request_for("http://127.0.0.1:9/"))
    shared.until(lambda: shared.state(job) == "suspended", "it sleeps")
    token = tmp_path / "viewer"
    token.write_text(shared.ok("token", "create", "viewer", "--role", "viewer"))
    token.chmod(0o600)
    cache = {"MVM_CI_MODULE_CACHE": str(tmp_path / "cache")}
    refused = shared.run("replay", job, "--token-file", str(token), environ=cache)
    assert refused.returncode == 4
    assert "role is viewer; this needs submitter" in refused.stderr
    allowed = shared.run("replay", job, "--token-file", str(token), "--module", ours, environ=cache)
    assert allowed.returncode == 0, allowed.stderr
    # What is compiled already is needed no more.
    assert shared.run("replay", job, "--token-file", str(token), environ=cache).returncode == 0
    shared.ok("job", "cancel", job)


def test_a_damaged_journal_is_said_to_be_and_its_beginning_can_be_saved(
    control: Cluster, tmp_path: Path
) -> None:
    control.worker("one", *NETWORK)
    ours = built(tmp_path, "second")
    job = control.ok("job", "submit", ours, "--input", request_for("http://127.0.0.1:9/"))
    control.until(lambda: control.state(job) == "suspended", "it sleeps")
    state = control.directory / "control-plane" / "store" / "state.db"

    def damage(change: Callable[[bytes], bytes]) -> None:
        """Changes the last segment."""
        with closing(sqlite3.connect(state, timeout=30)) as connection:
            first, data = connection.execute("SELECT max(first), data FROM journal").fetchone()
            connection.execute("UPDATE journal SET data = ? WHERE first = ?", (change(data), first))
            connection.commit()

    damage(lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    shown = control.run("journal", "show", job)
    assert shown.returncode == 1
    assert "Damage" in shown.stdout
    assert "is damaged: " in shown.stderr
    done = control.run("replay", job)
    assert done.returncode == 1
    assert "cannot be replayed: journal entry" in done.stdout
    index = int(done.stdout.split("journal entry ")[1].split(":")[0])
    fork = control.ok("job", "fork", job, "--at", str(index))
    control.until(lambda: control.state(fork) == "suspended", "the fork sleeps")
    assert control.run("job", "fork", job, "--at", str(index + 1)).returncode == 6

    # The fork's last segment is the last one of all now.
    with closing(sqlite3.connect(state, timeout=30)) as connection:
        connection.execute("DELETE FROM journal WHERE job = (SELECT min(job) FROM journal)")
        connection.commit()
    damage(lambda data: data[:-3])
    torn = control.run("replay", fork)
    assert torn.returncode == 1
    assert "the journal's tail is torn: its last" in torn.stdout


def test_a_replay_that_is_interrupted_leaves_no_process(shared: Cluster, tmp_path: Path) -> None:
    spins = tmp_path / "spins.c"
    spins.write_text('#include "mvm_ci.h"\nMVM_CI_RUN { volatile int i = 0; while (1) i++; return 0; }\n')
    ours = built(tmp_path, "second", '\\"interrupted\\"')
    job = shared.ok("job", "submit", ours, "--input", request_for("http://127.0.0.1:9/"))
    shared.until(lambda: shared.state(job) == "suspended", "it sleeps")
    process = shared.start("replay", job, "--module", str(build_c(spins)), name="replay")

    def children() -> list[int]:
        try:
            text = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(pid) for pid in text.split()]

    def rehearsing() -> bool:
        return any("rehearsal_child" in Path(f"/proc/{pid}/cmdline").read_text() for pid in children())

    shared.until(rehearsing, "the guest spins")
    pids = children()
    assert process.end(signal.SIGINT) == 130
    shared.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "its child is gone")
    shared.processes.remove(process)
    shared.ok("job", "cancel", job)
