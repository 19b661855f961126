"""The OpenAPI 3.1 document, made of the table of routes."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from mvm_ci.control_plane.api.routes import BYTES, EVENT_STREAM, JOB_ID, JSON, Query, Route
from mvm_ci.domain.namespace import DEFAULT_NAMESPACE
from mvm_ci.wire.api import Problem

_NAMESPACE = {
    "name": "X-Namespace",
    "in": "header",
    "required": False,
    "description": f"In which namespace a token for all works; {DEFAULT_NAMESPACE} if left out.",
    "schema": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
}
_REF = "#/components/schemas/{name}"


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The document for ``routes``."""
    types = [Problem, *(route.answer for route in routes if route.answer is not None)]
    types += [route.body.type for route in routes if route.body is not None and route.body.type is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "MVM-CI", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Problem": {
                    "description": "What is wrong, where, and what to do.",
                    "content": {"application/problem+json": {"schema": by_type[repr(Problem)]}},
                }
            },
        },
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = schemas[repr(route.answer)] if route.answer is not None else {"type": "string"}
    if route.media == EVENT_STREAM:
        answer = _event_of(answer)
    content: dict[str, Any] = {route.media: {"schema": answer}}
    if route.media == BYTES and not route.parts:
        content[JSON] = {"schema": {}}  # bytes that are JSON are called so
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": route.summary,
        "security": [{"token": []}] if route.role is not None or route.own_token else [],
        "parameters": [
            *(_path_parameter(route.path, name) for name in re.findall(r"{(\w+)}", route.path)),
            *map(_parameter, route.query),
            *([_NAMESPACE] if route.role is not None else []),
        ],
        "responses": {
            "200": {"description": "Done.", "content": content},
            **(
                {"206": {"description": "The part that was asked for.", "content": content}}
                if route.parts
                else {}
            ),
            **{
                str(status): {
                    "$ref": "#/components/responses/Problem",
                    "description": HTTPStatus(status).phrase,
                }
                for status in route.statuses
            },
        },
    }
    if route.role is not None:
        operation["description"] = f"Needs a token with the role {route.role.value} or one that includes it."
    if route.body is not None:
        schema = schemas[repr(route.body.type)] if route.body.type is not None else {"type": "string"}
        operation["requestBody"] = {
            "required": True,
            "description": f"At most {route.body.limit} bytes.",
            "content": {media: {"schema": schema if media == JSON else {}} for media in route.body.media},
        }
    return operation


def _event_of(data: dict[str, Any]) -> dict[str, Any]:
    """One server-sent event; one without data only moves the reader's place."""
    text = {"type": "string"}
    carried = {**text, "contentMediaType": JSON, "contentSchema": data}
    return {"type": "object", "required": ["id"], "properties": {"id": text, "event": text, "data": carried}}


def _path_parameter(path: str, name: str) -> dict[str, Any]:
    schema = {"type": "string"} | (
        {"pattern": JOB_ID} if path.startswith("/v1/jobs/") and name == "id" else {}
    )
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _parameter(query: Query) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": query.kind.value}
    if query.kind in {"integer", "number"}:
        schema |= {"minimum": query.least, "maximum": query.most}
    if query.pattern is not None:
        schema["pattern"] = query.pattern
    return {
        "name": query.name,
        "in": "query",
        "required": False,
        "description": query.about,
        "schema": schema,
    }
