"""Streams, files and pollables of components, function by function: ``guest/tests/streams.wat``."""

import pytest
import wasmtime

from mvm_ci.files.system import FileLimits, FileSystem
from mvm_ci.ports.guest import GuestLimits
from tests.integration.wasm.conftest import GUESTS, Load
from tests.integration.wasm.fakes import FakeHost, OnlyGuest


@pytest.fixture(scope="module")
def streams(load: Load, tmp_path_factory: pytest.TempPathFactory) -> OnlyGuest:
    module = tmp_path_factory.mktemp("streams") / "streams.wasm"
    module.write_bytes(wasmtime.wat2wasm((GUESTS / "tests" / "streams.wat").read_text()))
    return load(module)


def test_function_by_function(streams: OnlyGuest) -> None:
    host = FakeHost()
    host.files = FileSystem(FileLimits(bytes=20))
    said = streams.run(b"", host, GuestLimits()).decode()
    expected = [
        "01006",  # the file is open; only the root is the root; a regular file
        "00000101",  # a stream, four ways to write, it is ready; one byte by the descriptor
        "0cde!0",  # its end is not reached
        "00ab02011",  # a stream, two bytes, two and one passed by, it is ready
        "020311",  # two and three bytes from one file to the other, then it is closed
        "05101GNOSPC1",  # room for five, not for fourteen: an error, and its name; no room any more
        "13",  # a descriptor for reading gives no stream to write to: bad-descriptor
        "011",  # printed; nothing to read
        "110111010",  # polls: what is ready; the earliest of two times, which is over then; the last one
    ]
    assert said == "".join(expected)
    assert host.text("stdout") == "hello\n"
    assert host.files.used == 20
    waits = [call for call in host.calls if call[0].startswith("sleep")]
    assert [name for name, _ in waits] == ["sleep_until", "sleep_until", "sleep_for"], "waiting is the host's"
    assert waits[1:] == [("sleep_until", 90_000_000), ("sleep_for", 7)]
