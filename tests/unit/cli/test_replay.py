"""What ``mvm-ci replay`` and ``job fork`` take, and what they ask for."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from mvm_ci.cli.replay.builds import builds_by_module
from mvm_ci.cli.replay.shown import agrees, as_fields, in_words
from mvm_ci.client import ApiClient
from mvm_ci.domain.errors import BadInput, NotFound
from mvm_ci.lifecycle.rehearse import Agrees, Damaged, Departs, Undecided
from mvm_ci.wire import api
from mvm_ci.wiring.replay import Replayed
from tests.unit.cli.fake_api import DIGEST, JOB, CommandLine, job_view, module_view, problem, version_view


@pytest.fixture
def module(tmp_path: Path) -> str:
    file = tmp_path / "other.wasm"
    file.write_bytes(b"a module")
    return str(file)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "which job?"),
        ((JOB, "--all"), "which job?"),
        ((JOB, "--queue", "q"), "go with --all"),
        ((JOB, "--state", "failed"), "go with --all"),
        (("--all", "--attempt", "1"), "are for one job"),
        (("--all", "--output"), "are for one job"),
        ((JOB, "--module", "a.wasm", "--module", "b.wasm"), "one build"),
        (("--all", "--module", "a.wasm"), "NAME=FILE"),
        (("--all", "--module", "=a.wasm"), "NAME=FILE"),
        (("--all", "--module", "name="), "NAME=FILE"),
        ((JOB, "--module", "nowhere.wasm"), "cannot read nowhere.wasm"),
        (("--all", "--module", "name=nowhere.wasm"), "cannot read nowhere.wasm"),
        (("--all", "--state", "lost"), "there is no state"),
        ((JOB, "--time-limit", "soon"), "--time-limit"),
    ],
)
def test_what_contradicts_itself_is_refused(cli: CommandLine, options: tuple[str, ...], says: str) -> None:
    result = cli("replay", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


def test_a_job_that_is_not_there(cli: CommandLine) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}/recording", problem(404, "not-found", f"there is no job {JOB}"))
    assert cli("replay", JOB).exit_code == 5


def test_a_recording_that_breaks_off_is_no_verdict(cli: CommandLine) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}/recording", b"\5\0\0\0half")
    result = cli("replay", JOB)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "breaks off" in result.stderr


@pytest.mark.parametrize(
    ("replayed", "words", "good"),
    [
        (Replayed(Agrees(entries=3, stands="ended")), "agrees with all 3 entries; it has ended", True),
        (Replayed(Agrees(entries=3, stands="computes")), "agrees with all 3 entries; it computes", True),
        (
            Replayed(Agrees(entries=3, stands="goes-on", next="read the wall clock")),
            "agrees with all 3 entries; it would now read the wall clock",
            True,
        ),
        (
            Replayed(Departs(index=2, recorded="a sleep of 1 s", asked="a sleep of 2 s")),
            "departs at entry 2: the journal records a sleep of 1 s, but the guest asked for a sleep of 2 s",
            False,
        ),
        (Replayed(Damaged(reason="entry 3")), "cannot be replayed: entry 3", False),
        (Replayed(Undecided(reason="too long")), "undecided: too long", False),
        (
            Replayed(Agrees(entries=3, stands="computes"), lost=2),
            "agrees with all 3 entries; it computes; the journal's tail is torn: its last 2 entries are lost",
            False,
        ),
    ],
)
def test_verdicts_in_words(replayed: Replayed, words: str, *, good: bool) -> None:
    assert in_words(replayed) == words
    assert agrees(replayed) is good
    assert as_fields(replayed)["verdict"] == type(replayed.verdict).__name__.lower()


def test_a_time_is_in_the_readers_zone() -> None:
    text = in_words(Replayed(Agrees(entries=1, stands="sleeps", wake_ms=1_700_000_000_000)))
    assert "it sleeps until 2023-11-1" in text


async def found(cli: CommandLine, *options: str) -> dict[str, str]:
    import httpx

    transport = httpx.ASGITransport(app=cli.api)
    async with ApiClient("http://control.test", "token", transport) as client:
        builds = await builds_by_module(client, options)
    return {digest: build.data.decode() for digest, build in builds.items()}


async def test_a_name_stands_for_all_of_its_versions(cli: CommandLine, module: str) -> None:
    old, pushed = "cd" * 32, "ef" * 32
    pages = [
        api.ModuleVersionList(versions=(version_view(),), cursor="1"),
        api.ModuleVersionList(versions=(version_view("1.1.0", digest=old),)),
    ]
    cli.api.answer("GET", "/v1/modules/names/crawl/versions", *pages)
    cli.api.answer(
        "GET",
        "/v1/modules",
        api.ModuleList(modules=(module_view(digest=pushed, name="crawl"), module_view(name="beside"))),
    )
    assert await found(cli, f"crawl={module}") == dict.fromkeys((DIGEST, old, pushed), "a module")


async def test_a_version_a_pushed_name_and_a_digest_stand_for_one_module(
    cli: CommandLine, module: str
) -> None:
    cli.api.answer("GET", "/v1/modules/names/crawl/versions/1.2.0", version_view())
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    for name in ("crawl@1.2.0", "hello", DIGEST[:8]):
        assert await found(cli, f"{name}={module}") == {DIGEST: "a module"}


async def test_a_module_has_one_build(cli: CommandLine, module: str, tmp_path: Path) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    other = tmp_path / "another.wasm"
    other.write_bytes(b"another")
    with pytest.raises(BadInput, match="has another build already"):
        await found(cli, f"hello={module}", f"{DIGEST[:8]}={other}")


async def test_a_module_that_nobody_knows(cli: CommandLine, module: str) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=()))
    with pytest.raises(NotFound, match="there is no module 'nobody'"):
        await found(cli, f"nobody={module}")


# -------------------------------------------------------------------- job fork


def test_a_fork_is_asked_for_and_its_id_printed(cli: CommandLine) -> None:
    cli.api.answer("POST", f"/v1/jobs/{JOB}/fork", job_view("pending"))
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    result = cli("job", "fork", JOB, "--at", "4", "--module", DIGEST[:8], "--attempt", "2")
    assert (result.exit_code, result.stdout) == (0, f"{JOB}\n")
    asked = msgspec.json.decode(cli.api.requests[-1].body)
    assert asked == {"at": 4, "attempt": 2, "module": DIGEST}
    shown = json.loads(cli("job", "fork", JOB, "--at", "4", "--json").stdout)
    assert shown["id"] == JOB
    assert msgspec.json.decode(cli.api.requests[-1].body) == {"at": 4}


@pytest.mark.parametrize("options", [(), ("--at", "0"), ("--at", "x")])
def test_a_fork_needs_a_number(cli: CommandLine, options: tuple[str, ...]) -> None:
    assert cli("job", "fork", JOB, *options).exit_code == 2
    assert cli.api.requests == []


def test_what_the_api_refuses_is_said(cli: CommandLine) -> None:
    answer = problem(409, "conflict", f"job {JOB} has no journal to begin with")
    cli.api.answer("POST", f"/v1/jobs/{JOB}/fork", answer)
    result = cli("job", "fork", JOB, "--at", "3")
    assert (result.exit_code, result.stderr) == (6, f"error: job {JOB} has no journal to begin with\n")
