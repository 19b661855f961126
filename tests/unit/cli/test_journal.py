"""``mvm-ci journal show``."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mvm_ci.wire import api
from tests.unit.cli.fake_api import JOB, CommandLine, job_view

LONG = "x" * 150


def entry(index: int, kind: str = "Slept", **fields: Any) -> api.JournalEntry:
    given: dict[str, Any] = {"attempt": 1, "summary": f"number {index}", "bytes": 9} | fields
    return api.JournalEntry(index=index, kind=kind, **given)


def answers(cli: CommandLine, *entries: api.JournalEntry) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}/journal", msgspec.json.Encoder().encode_lines(entries))


def test_entries_are_rows_and_what_is_long_is_cut(cli: CommandLine) -> None:
    answers(cli, entry(0, at_ms=1_700_000_000_123), entry(1, summary=LONG, answer="in\x1b[2Jside"))
    first, second, third = cli("journal", "show", JOB).stdout.splitlines()
    assert first.split() == ["ENTRY", "TIME", "KIND", "BYTES", "WHAT", "ANSWER"]
    assert second.split()[0] == "0"
    assert ".123" in second
    assert "x…" in third
    assert LONG not in third
    assert "in\\x1b[2Jside" in third, "nothing in it can drive the terminal"
    assert {line.index("number") for line in (second,)} == {first.index("WHAT")}
    assert len(third) <= 132


def test_full_cuts_nothing_and_shows_fields(cli: CommandLine) -> None:
    answers(cli, entry(0, summary=LONG, fields={"text": LONG * 3, "at_ms": 7}))
    shown = cli("journal", "show", JOB, "--full").stdout
    assert LONG in shown
    assert f'        text: "{LONG * 3}"' in shown
    assert "        at_ms: 7" in shown


def test_each_attempt_is_announced(cli: CommandLine) -> None:
    answers(cli, entry(0), entry(0, attempt=2))
    assert "attempt 2" in cli("journal", "show", JOB).stdout.splitlines()


def test_json_is_an_object_an_entry_with_all_of_its_fields(cli: CommandLine) -> None:
    answers(cli, entry(0), entry(1))
    lines = [json.loads(line) for line in cli("journal", "show", JOB, "--json").stdout.splitlines()]
    assert [line["index"] for line in lines] == [0, 1]
    assert lines[0].keys() == set(api.JournalEntry.__struct_fields__)


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ((), {}),
        (("--attempt", "2"), {"attempt": ["2"]}),
        (("--from", "3", "--to", "9", "--limit", "5"), {"from": ["3"], "to": ["9"], "limit": ["5"]}),
        (("--tail", "4"), {"tail": ["4"]}),
    ],
)
def test_ranges_are_asked_for(
    cli: CommandLine, options: tuple[str, ...], query: dict[str, list[str]]
) -> None:
    answers(cli)
    assert cli("journal", "show", JOB, *options).exit_code == 0
    assert cli.api.requests[-1].query == query


def test_a_follower_goes_on_until_the_job_has_ended(cli: CommandLine) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view("completed"))
    lines = msgspec.json.Encoder().encode_lines
    cli.api.answer("GET", f"/v1/jobs/{JOB}/journal", lines([entry(0)]), lines([entry(0), entry(1)]))
    shown = cli("journal", "show", JOB, "--follow").stdout
    assert [line.split()[0] for line in shown.splitlines()] == ["ENTRY", "0", "1"], "each once"
    assert cli.api.requests[0].query == {"follow": ["1"]}
    assert cli.api.requests[-1].query == {"attempt": ["1"], "from": ["1"]}


@pytest.mark.parametrize("follow", [(), ("--follow",)])
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_damage_is_shown_and_is_an_error(
    cli: CommandLine, follow: tuple[str, ...], as_json: tuple[str, ...]
) -> None:
    answers(cli, entry(0), entry(1, "Damage", summary="the checksum does not match"))
    result = cli("journal", "show", JOB, *follow, *as_json)
    assert result.exit_code == 1
    assert "Damage" in result.stdout
    assert "is damaged: the checksum does not match" in result.stderr
