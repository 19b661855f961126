"""Requests made up from the API's own document, good ones and bad ones: no answer is a failure of ours, and
each is as the document says.
"""

import asyncio
from typing import Any, Final, cast

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mvm_ci.control_plane.api.openapi import document
from mvm_ci.control_plane.api.table import ROUTES
from mvm_ci.domain.role import Role
from tests.integration.control_plane.conftest import MODULE, Stand, api_token, submit

EXAMPLES: Final = 10
"""Of good requests and of bad ones, for each operation."""
TIME_S: Final = 30
SCHEMA: Final = schemathesis.openapi.from_dict(document(ROUTES, "test"))
OPERATIONS: Final[list[Any]] = [cast("Any", found).ok() for found in SCHEMA.get_all_operations()]
NOTHING_TO_ASK: Final = {"/livez", "/readyz"}
"""No parameter and no body: nothing can be wrong with a request."""
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


async def completed_job(stand: Stand, api: httpx.AsyncClient) -> str:
    worker = await stand.worker()
    await worker.welcome(credit=1)
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    await worker.end(item)
    return str(job["id"])


def test_every_route_is_an_operation() -> None:
    described = {(operation.method.upper(), operation.path) for operation in OPERATIONS}
    assert described == {(route.method, route.path) for route in ROUTES}


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        pytest.param(operation, mode, id=f"{mode.value} {operation.label}")
        for operation in OPERATIONS
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        if mode is GenerationMode.POSITIVE or operation.path not in NOTHING_TO_ASK
    ],
)
async def test_made_up_requests_are_answered_as_the_document_says(
    stand: Stand, api: httpx.AsyncClient, operation: Any, mode: GenerationMode
) -> None:
    job = await completed_job(stand, api)
    names = {"id": job, "name": "nightly", "version": "1.2.0", "digest": MODULE}
    await api.put("/v1/modules/names/nightly/versions/1.2.0", json={"digest": MODULE})
    await api.put("/v1/schedules/nightly", json={"when": "0 4 * * *", "job": {"module": MODULE}})
    headers = {"authorization": f"Bearer {api_token(Role.ADMIN)}"}

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def ask(*, case: Any, real: bool) -> None:
        if real and case.path_parameters:
            # Else what is asked for is hardly ever there.
            case.path_parameters.update({name: names[name] for name in case.path_parameters})
        if operation.path == "/v1/events":
            case.query = {**(case.query or {}), "follow": 0}  # else the answer has no end
        with requests.Session() as session:
            session.trust_env = False
            answer = case.call(base_url=stand.plane.api_url, headers=headers, session=session, timeout=TIME_S)
            case.validate_response(answer, checks=CHECKS)

    await asyncio.to_thread(ask)
