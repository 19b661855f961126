"""Tokens, namespaces and the audit log on the command line."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from mvm_ci.wire import api
from tests.unit.cli.fake_api import CommandLine

TOKEN = api.TokenView(id="at0011223344", name="ci", role="submitter", namespace="team", created_ms=1)
TEAM = api.NamespaceView(name="team", created_ms=1, max_waiting=5, max_running=2)
ENTRY = api.AuditView(
    seq=9,
    at_ms=1_700_000_000_000,
    token="at0011223344",
    name="ci",
    address="10.0.0.1",
    namespace="team",
    action="job.submit",
    target="3 jobs",
    outcome="done",
)


def test_a_token_is_data_and_the_rest_is_not(cli: CommandLine) -> None:
    view = api.TokenView(
        id="at1", name="ci", role="viewer", namespace="team", created_ms=1, expires_ms=2, token="mvm_api_x"
    )
    cli.api.answer("POST", "/v1/tokens", view)
    result = cli("token", "create", "ci", "--role", "viewer", "--ttl", "2d", "--namespace", "team")
    assert (result.exit_code, result.stdout) == (0, "mvm_api_x\n")
    assert "at1: viewer in namespace team until" in result.stderr
    (request,) = cli.api.requests
    assert json.loads(request.body) == {"name": "ci", "role": "viewer", "ttl_s": 172_800}
    assert request.headers["x-namespace"] == "team"


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        ([], {"ttl_s": 90 * 86_400}),
        (["--no-expiry"], {}),
        (["--all-namespaces", "--no-expiry"], {"namespace": "*"}),
    ],
)
def test_a_token_expires_unless_it_is_said_not_to(
    cli: CommandLine, args: list[str], sent: dict[str, object]
) -> None:
    cli.api.answer("POST", "/v1/tokens", replace(TOKEN, token="mvm_api_x"))
    assert cli("token", "create", "ci", *args).exit_code == 0
    (request,) = cli.api.requests
    assert json.loads(request.body) == {"name": "ci", "role": "submitter", **sent}
    assert "x-namespace" not in request.headers


def test_tokens_are_listed_with_their_state(cli: CommandLine) -> None:
    gone = replace(TOKEN, id="at2", revoked_ms=5)
    late = replace(TOKEN, id="at3", expires_ms=5)
    cli.api.answer("GET", "/v1/tokens", api.TokenList(tokens=(TOKEN, gone, late)))
    lines = cli("token", "list").stdout.splitlines()
    assert [next(s for s in ("valid", "revoked", "expired") if s in line) for line in lines[1:]] == [
        "valid",
        "revoked",
        "expired",
    ]
    (shown, *_) = json.loads(cli("token", "list", "--json").stdout)["tokens"]
    assert set(shown) == set(api.TokenView.__struct_fields__)


@pytest.mark.parametrize("text", ["ci", TOKEN.id, TOKEN.id[:6]])
def test_a_token_is_revoked_by_name_or_id(cli: CommandLine, text: str) -> None:
    old = replace(TOKEN, id="at9999", revoked_ms=5)
    cli.api.answer("GET", "/v1/tokens", api.TokenList(tokens=(old, TOKEN)))
    cli.api.answer("POST", f"/v1/tokens/{TOKEN.id}/revoke", TOKEN)
    result = cli("token", "revoke", text)
    assert (result.exit_code, result.stdout) == (0, f"ci {TOKEN.id}: revoked\n")


def test_two_tokens_of_one_name_are_not_confused(cli: CommandLine) -> None:
    twin = replace(TOKEN, id="at9999")
    cli.api.answer("GET", "/v1/tokens", api.TokenList(tokens=(TOKEN, twin)))
    result = cli("token", "revoke", "ci")
    assert result.exit_code == 2
    assert TOKEN.id in result.stderr


def test_a_namespace_is_created_with_its_quota(cli: CommandLine) -> None:
    cli.api.answer("POST", "/v1/namespaces", TEAM)
    result = cli("namespace", "create", "team", "--max-waiting", "5", "--max-bytes", "2GiB")
    assert result.exit_code == 0
    assert json.loads(cli.api.requests[0].body) == {"name": "team", "max_waiting": 5, "max_bytes": 2 << 30}


def test_a_quota_changes_only_where_it_is_told_to(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/namespaces/team", TEAM)
    cli.api.answer("PUT", "/v1/namespaces/team/quota", TEAM)
    result = cli("namespace", "quota", "team", "--max-waiting", "none", "--max-bytes", "10")
    assert "max running  2" in result.stdout
    assert json.loads(cli.api.requests[-1].body) == {"max_running": 2, "max_bytes": 10}


def test_namespaces_are_listed_shown_and_deleted(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/namespaces", api.NamespaceList(namespaces=(TEAM,)))
    cli.api.answer("GET", "/v1/namespaces/team", TEAM)
    cli.api.answer("DELETE", "/v1/namespaces/team", TEAM)
    assert "none" in cli("namespace", "list").stdout
    assert json.loads(cli("namespace", "list", "--json").stdout)["namespaces"][0]["max_bytes"] is None
    assert json.loads(cli("namespace", "show", "team", "--json").stdout)["max_waiting"] == 5
    refused = cli("namespace", "delete", "team")
    assert (refused.exit_code, "--yes" in refused.stderr) == (2, True)
    assert cli("namespace", "delete", "team", "--yes").stdout == "team: deleted\n"


def test_the_audit_log_is_read_page_by_page_up_to_the_limit(cli: CommandLine) -> None:
    cli.api.answer(
        "GET",
        "/v1/audit",
        api.AuditList(entries=(), cursor="70"),
        api.AuditList(entries=(ENTRY,), cursor="9"),
        api.AuditList(entries=(ENTRY,), cursor="3"),
    )
    result = cli("audit", "--limit", "2", "--actor", "ci", "--action", "job.submit", "--max-age", "1h")
    assert result.stdout.count("3 jobs") == 2
    first, second, third = (request.query for request in cli.api.requests)
    assert (first["actor"], first["action"], first["limit"]) == (["ci"], ["job.submit"], ["2"])
    assert int(first["since_ms"][0]) > ENTRY.at_ms
    assert "namespace" not in first
    assert (second["cursor"], third["cursor"], third["limit"]) == (["70"], ["9"], ["1"])


def test_the_audit_log_of_the_namespace_in_use(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/audit", api.AuditList(entries=(ENTRY,)))
    shown = json.loads(cli("audit", "--namespace", "team", "--json").stdout)["entries"]
    assert shown[0]["seq"] == 9
    assert cli.api.requests[0].query["namespace"] == ["team"]


def test_who_am_i(cli: CommandLine) -> None:
    view = api.WhoAmI(id="at1", name="ci", role="viewer", scope="*", namespace="default")
    cli.api.answer("GET", "/v1/whoami", view)
    shown = cli("whoami").stdout
    assert "all namespaces" in shown
    assert "expires   never" in shown
    assert json.loads(cli("whoami", "--json").stdout)["expires_ms"] is None


@pytest.mark.parametrize(
    "args",
    [
        ["token", "create", "ci", "--role", "root"],
        ["token", "create", "ci", "--ttl", "never"],
        ["token", "create"],
        ["namespace", "create", "team", "--max-waiting", "few"],
        ["namespace", "create", "team", "--max-running", "2GiB"],
        ["namespace", "quota", "team", "--max-bytes", "2GB"],
        ["audit", "--max-age", "yesterday"],
        ["whoami", "--namespace", "Team"],
    ],
)
def test_bad_usage_exits_with_2_and_one_line(cli: CommandLine, args: list[str]) -> None:
    result = cli(*args)
    assert (result.exit_code, cli.api.requests) == (2, [])
    assert result.stderr.count("\n") == 1
