"""What holds for every route: changes have a name in the audit log, and the page on roles lists them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvm_ci.control_plane.api.routes import Route
from mvm_ci.control_plane.api.table import ROUTES
from mvm_ci.domain.role import Role

TAKES_AWAY = {"/v1/jobs/{id}/module"}
"""Routes that change nothing but hand out code."""
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "roles.md"


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", ROUTES, ids=named)
def test_what_changes_something_is_audited_and_needs_more_than_to_look(route: Route) -> None:
    if route.method == "GET":
        assert (route.audit is not None) == (route.path in TAKES_AWAY)
    else:
        # A promise is completed by whoever has its token: no caller that the log could name.
        if route.own_token:
            assert route.audit is None
            assert route.role is None
            return
        assert route.audit is not None
        assert route.role is not None
        assert route.role is not Role.VIEWER


def test_actions_have_names_of_their_own() -> None:
    names = [route.audit for route in ROUTES if route.audit is not None]
    assert len(set(names)) == len(names)


def test_only_health_is_open_to_everybody() -> None:
    assert {route.path for route in ROUTES if route.role is None and not route.own_token} == {
        "/livez",
        "/readyz",
    }


def test_the_page_on_roles_lists_what_needs_more_than_to_look() -> None:
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `")
    ]
    rows = [row for row in cells if len(row) == 4]
    listed = {(name.strip("`"), role, scope) for names, role, scope, _ in rows for name in names.split(", ")}
    expected = {
        (route.audit or named(route), route.role.value, "all" if route.everywhere else "any")
        for route in ROUTES
        if route.role is not None and route.role is not Role.VIEWER
    }
    assert listed == expected


def test_the_page_on_roles_explains_every_role_in_order() -> None:
    text = PAGE.read_text().split("## What needs")[0]
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert rows == [role.value for role in Role]
