"""The address in the credentials file is one that commands on this machine can use."""

from __future__ import annotations

import pytest

from mvm_ci.wiring.control_plane import _local


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://0.0.0.0:3020", "http://127.0.0.1:3020"),
        ("http://[::]:3020", "http://[::1]:3020"),
        ("http://10.0.0.1:3020", "http://10.0.0.1:3020"),
        ("http://[2001:db8::]:1", "http://[2001:db8::]:1"),
    ],
)
def test_local_address(url: str, local: str) -> None:
    assert _local(url) == local
