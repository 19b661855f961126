"""The reference pages say what the code does."""

import re
from pathlib import Path
from typing import Any

from mvm_ci.control_plane.api.routes import Route
from mvm_ci.control_plane.api.table import ROUTES
from mvm_ci.domain import errors
from mvm_ci.serving.problems import TITLES, status_of
from mvm_ci.wire import messages

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def all_kinds() -> set[type[errors.MvmCiError]]:
    """What the API may answer: the domain's errors. (Subclasses elsewhere never leave their process.)"""
    kinds: list[Any] = [value for value in vars(errors).values() if isinstance(value, type)]
    return {kind for kind in kinds if issubclass(kind, errors.MvmCiError)}


def rows(page: str) -> list[list[str]]:
    lines = (REFERENCE / page).read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]


def needs(route: Route) -> str:
    if route.role is None:
        return "none"
    return f"{route.role.value} †" if route.everywhere else route.role.value


def test_the_api_page_lists_every_route_with_its_role() -> None:
    listed = {(cells[0].strip("`"), cells[1]) for cells in rows("api.md") if " /" in cells[0]}
    expected = {(f"{route.method} {route.path}", needs(route)) for route in ROUTES} | {
        ("GET /openapi.json", "none")
    }
    assert listed == expected


def test_the_api_page_names_every_parameter() -> None:
    text = (REFERENCE / "api.md").read_text()
    assert {query.name for route in ROUTES for query in route.query if f"`{query.name}`" not in text} == set()


def test_the_errors_page_explains_every_code() -> None:
    explained = {cells[0].strip("`") for cells in rows("errors.md") if cells[0].startswith("`")}
    codes = {kind.code for kind in all_kinds()} | set(TITLES)
    refusals = {value for name, value in vars(messages).items() if name.startswith("REFUSED_")}
    assert codes | refusals <= explained


def test_the_errors_page_names_the_right_status() -> None:
    by_code = {kind.code: kind for kind in all_kinds()}
    for cells in rows("errors.md"):
        code = cells[0].strip("`")
        if code in TITLES and cells[1] and (numbers := re.findall(r"\d{3}", cells[1])):
            error = by_code[code].__new__(by_code[code])
            assert str(status_of(error)) in numbers, code
