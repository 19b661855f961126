"""The command line in front of a control plane with canned answers."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from mvm_ci.cli import connection
from mvm_ci.client import ApiClient
from mvm_ci.config.credentials import Credentials
from tests.unit.cli.fake_api import TOKEN, CommandLine, FakeApi


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith(("MVM_CI_", "CONTROL_PLANE_TICKET"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    fake = FakeApi()

    def open_client(found: Credentials) -> ApiClient:
        transport = httpx.ASGITransport(app=fake)
        return ApiClient(found.url, found.token, transport, namespace=found.namespace)

    monkeypatch.setattr(connection, "open_client", open_client)
    monkeypatch.setenv("MVM_CI_URL", "http://control.test")
    monkeypatch.setenv("MVM_CI_TOKEN", TOKEN)
    return CommandLine(fake)
