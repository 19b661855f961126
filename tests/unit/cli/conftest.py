"""The command line in front of a control plane with canned answers."""

from __future__ import annotations

import httpx
import pytest

from mvm_ci.cli import connection
from mvm_ci.client import ApiClient
from mvm_ci.config.credentials import Credentials
from tests.unit.cli.fake_api import TOKEN, CommandLine, FakeApi


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    fake = FakeApi()

    def open_client(found: Credentials) -> ApiClient:
        return ApiClient(found.url, found.token, transport=httpx.ASGITransport(app=fake))

    monkeypatch.setattr(connection, "open_client", open_client)
    monkeypatch.setenv("MVM_CI_URL", "http://control.test")
    monkeypatch.setenv("MVM_CI_TOKEN", TOKEN)
    return CommandLine(fake)
