"""Each route of the API has a method of the client, and both agree on parameters and types.

The methods are called, as their signatures say, against the table of which the OpenAPI document is made: its
parser reads the query and the body, and the answer is made of its type.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import AsyncIterator, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from mvm_ci.client import AsyncClient, Client
from mvm_ci.control_plane.api.app import _OPENAPI
from mvm_ci.control_plane.api.requests import parse_query
from mvm_ci.control_plane.api.routes import EVENT_STREAM, JSON, Route
from mvm_ci.control_plane.api.table import ROUTES
from mvm_ci.wire import api

ALL = (*ROUTES, _OPENAPI)
WITHOUT_A_METHOD = {"GET /v1/jobs/{id}/wait": "job(wait_s=...) is the same with another spelling"}
MADE_OF_OTHERS = {"all_jobs", "close", "upload"}
"""Methods that are no route's."""
STREAMS = {"logs", "journal", "events"}
NEVER_ENDING = {("logs", "wait"), ("journal", "wait"), ("events", "follow")}
BYTES = b"bytes"
"""What routes answer that have no type."""
ETAG = f'"{sha256(BYTES).hexdigest()}"'
FOLLOWING = {"audit"}
"""Methods that ask for one page after the other."""
SAMPLES: dict[Any, Any] = {
    str: "text",
    int: 7,
    float: 2.5,
    bool: True,
    bytes: b"bytes",
    msgspec.Raw: msgspec.Raw(b"1"),
}


def methods() -> list[str]:
    members = inspect.getmembers(AsyncClient, inspect.isfunction)
    return [name for name, _ in members if not name.startswith("_") and name not in MADE_OF_OTHERS]


def sample(kind: Any) -> Any:
    """Some value of a type, with every field given."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        return sample(next(one for one in arguments if one not in {type(None), msgspec.UnsetType, Path}))
    if origin is tuple or origin is Sequence:
        return (sample(arguments[0]),)
    if origin is dict:
        return {"key": sample(arguments[1])} if arguments[1] is not Any else {"key": "value"}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        return kind(**{name: sample(hints[name]) for name in kind.__struct_fields__})
    if isinstance(kind, type) and hasattr(kind, "__members__"):
        return next(iter(kind.__members__.values()))
    return SAMPLES[kind]


def route_of(request: httpx.Request) -> Route:
    for route in ALL:
        pattern = re.sub(r"{\w+}", "[^/]+", route.path)
        if route.method == request.method and re.fullmatch(pattern, request.url.path):
            return route
    raise AssertionError(f"{request.method} {request.url.path} is no route")


class Table:
    """Answers as the table of routes says; remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Route, dict[str, Any], Any]] = []
        self.answers: list[Any] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        route = route_of(request)
        declared = {query.name: query for query in route.query}
        query = parse_query(request.url.query, declared) if request.url.query else {}
        body = None
        if route.body is not None:
            assert request.headers["content-type"] in route.body.media
            body = request.content
            if route.body.type is not None:
                body = msgspec.json.decode(request.content, type=route.body.type)
        self.asked.append((route, query, body))
        if route.answer is None:
            return httpx.Response(200, content=BYTES, headers={"etag": ETAG} if route.parts else {})
        answer = sample(route.answer)
        if hasattr(answer, "cursor"):
            # There is one more page, and no third one.
            answer = msgspec.structs.replace(answer, cursor=None if self.answers else "7")
        self.answers.append(answer)
        if route.media == EVENT_STREAM:
            return httpx.Response(200, content=b"id: 7\ndata: " + msgspec.json.encode(answer) + b"\n\n")
        return httpx.Response(200, content=msgspec.json.encode(answer) + b"\n" * (route.media != JSON))


def arguments(name: str) -> dict[str, Any]:
    """One value for each parameter of a method."""
    hints = typing.get_type_hints(getattr(AsyncClient, name))
    del hints["return"]
    found = {parameter: sample(kind) for parameter, kind in hints.items()}
    # Neither ends by itself here.
    return found | {key: False for key in found if (name, key) in NEVER_ENDING}


def call(name: str) -> tuple[Table, Any]:
    """What the blocking client's method asks and gives (its twin is made of the same text)."""
    table = Table()
    with Client("http://control.test", "token", transport=httpx.MockTransport(table)) as client:
        result = getattr(client, name)(**arguments(name))
        return table, list(result) if isinstance(result, Iterator) else result


@pytest.mark.parametrize("name", [name for name in methods() if name != "wait"])
def test_a_method_asks_a_route_and_gives_its_answer(name: str) -> None:
    table, result = call(name)
    route = table.asked[0][0]
    assert [one for one, _, _ in table.asked] == [route] * (2 if name in FOLLOWING else 1)
    if route.answer is None:
        assert result in (BYTES, [BYTES])
        return
    answer = table.answers[0]
    parts = list(msgspec.structs.astuple(answer)) if isinstance(answer, msgspec.Struct) else []
    given = result[0] if name in STREAMS else result[:1] if name in FOLLOWING else result
    assert any(msgspec.json.encode(given) == msgspec.json.encode(one) for one in [answer, *parts])


@pytest.mark.parametrize("name", methods())
def test_a_method_says_what_it_gives(name: str) -> None:
    returned = typing.get_type_hints(getattr(AsyncClient, name))["return"]
    if name == "wait":
        assert returned is api.JobView
        return
    table, _ = call(name)
    route = table.asked[0][0]
    answer = bytes if route.answer is None else route.answer
    allowed = {repr(answer), repr(types.GenericAlias(AsyncIterator, (answer,)))}
    if isinstance(answer, type) and issubclass(answer, msgspec.Struct):
        allowed |= {repr(hint) for hint in typing.get_type_hints(answer).values()}
    assert repr(returned) in allowed


def test_every_route_has_a_method() -> None:
    asked = {
        (route.method, route.path)
        for name in methods()
        if name != "wait"
        for route, _, _ in call(name)[0].asked
    }
    missing = {f"{route.method} {route.path}" for route in ALL if (route.method, route.path) not in asked}
    assert missing == set(WITHOUT_A_METHOD)


def test_every_parameter_of_a_route_can_be_given() -> None:
    given: dict[str, set[str]] = {}
    for name in methods():
        if name not in {"wait", *STREAMS}:
            for route, query, _ in call(name)[0].asked:
                given.setdefault(f"{route.method} {route.path}", set()).update(query)
    missing = {
        f"{route.method} {route.path}": names
        for route in ALL
        if (key := f"{route.method} {route.path}") in given
        and (names := {query.name for query in route.query} - given[key])
    }
    assert missing == {}


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    for name in (*methods(), *MADE_OF_OTHERS):
        one, other = (inspect.signature(getattr(kind, name)) for kind in (AsyncClient, Client))
        assert list(one.parameters.values()) == list(other.parameters.values())
    assert {name for name in dir(Client) if not name.startswith("_")} == {*methods(), *MADE_OF_OTHERS}
