"""The OpenAPI document says what the handlers take."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.control_plane.api.openapi import document
from mvm_ci.control_plane.api.routes import JOB_ID
from mvm_ci.control_plane.api.table import ROUTES
from mvm_ci.domain.ids import format_job_id, job_id_range


@given(st.integers(0, (1 << 63) - 1), st.integers(1, 14))
def test_patterns_fit_every_id_and_its_beginnings(number: int, length: int) -> None:
    text = format_job_id(number)
    assert re.search(JOB_ID, text)
    (route,) = [one for one in ROUTES if (one.method, one.path) == ("GET", "/v1/jobs")]
    patterns = {query.name: query.pattern or "" for query in route.query}
    assert re.search(patterns["cursor"], text)
    assert re.search(patterns["prefix"], text[:length])
    job_id_range(text[:length])


def test_ids_of_jobs_have_a_pattern_and_ids_of_workers_have_none() -> None:
    paths = document(ROUTES, "1")["paths"]
    for path, methods in paths.items():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if parameter["in"] == "path":
                    of_job = path.startswith("/v1/jobs/") and parameter["name"] == "id"
                    assert ("pattern" in parameter["schema"]) == of_job
