"""Signals: the first asks, the second insists."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from structlog.testing import capture_logs

from mvm_ci.config.parsers import Address
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.wiring.running import run_service
from mvm_ci.wiring.saying import warn_of_plain_http
from mvm_ci.wiring.stopping import Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks(number: signal.Signals) -> None:
    ended: list[str] = []

    async def service(stop: Stop) -> None:
        os.kill(os.getpid(), number)
        await stop.asked()
        ended.append("in good order")

    run_service(service)
    assert ended == ["in good order"]


def test_the_second_signal_insists_and_resources_are_closed_all_the_same() -> None:
    ended: list[str] = []

    async def service(stop: Stop) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.asked()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
            ended.append("never")
        finally:
            ended.append("closed")

    run_service(service)
    assert ended == ["closed"]


def test_an_error_of_the_service_is_not_swallowed() -> None:
    async def service(stop: Stop) -> None:
        raise Misconfigured("no")

    with pytest.raises(Misconfigured):
        run_service(service)


@pytest.mark.parametrize(
    ("host", "warned"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True), ("::", True)],
)
def test_plain_http_beyond_this_machine_is_warned_of(host: str, *, warned: bool) -> None:
    with capture_logs() as logs:
        warn_of_plain_http(Address(host, 3020))
    assert [line["event"] for line in logs] == ["api_is_plain_http"] * warned
