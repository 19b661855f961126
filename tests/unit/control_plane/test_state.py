"""The state directory: made once, kept, and refused when it is something else's."""

import asyncio
import stat
from pathlib import Path

import pytest

from mvm_ci.adapters.memory.access import MemoryAccess
from mvm_ci.control_plane.settings import ControlPlaneSettings
from mvm_ci.control_plane.state import StateDirectory, ensure_admin_token
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.role import Role
from mvm_ci.domain.tokens import digest


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_made_once_stays(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state"
    first = StateDirectory.open(path)
    made = (first.endpoint_key(), first.p2p_address("127.0.0.1:0"), first.admin_token())
    again = StateDirectory.open(path)
    assert (again.endpoint_key(), again.p2p_address("127.0.0.1:0"), again.admin_token()) == made
    assert len(made[0]) == 32
    assert again.p2p_address("0.0.0.0:4000") == "0.0.0.0:4000"
    assert again.p2p_address("[::1]:0").startswith("[::1]:")
    assert mode(path) == 0o700
    assert {mode(file) for file in path.iterdir() if file.is_file()} == {0o600}
    assert {mode(part) for part in (again.store, again.blobs)} == {0o700}


def test_the_admin_token_works(tmp_path: Path) -> None:
    async def run() -> None:
        access = MemoryAccess()
        state = StateDirectory.open(tmp_path / "state")
        secret = await ensure_admin_token(state, access, 1)
        assert await ensure_admin_token(state, access, 2) == secret
        token = await access.token(digest(secret))
        assert token is not None
        assert (token.role, token.created_ms) == (Role.ADMIN, 1)

    asyncio.run(run())


def test_an_admin_token_that_was_revoked_stays_so_until_its_file_is_deleted(tmp_path: Path) -> None:
    async def run() -> None:
        access = MemoryAccess()
        state = StateDirectory.open(tmp_path / "state")
        secret = await ensure_admin_token(state, access, 1)
        (token,) = await access.tokens()
        await access.revoke_token(token.id, 2)
        assert await ensure_admin_token(state, access, 3) == secret
        (token,) = await access.tokens()
        assert token.revoked_ms == 2
        (state.path / "admin-token").unlink()
        fresh = await access.token(digest(await ensure_admin_token(state, access, 4)))
        assert fresh is not None
        assert fresh.revoked_ms is None

    asyncio.run(run())


def test_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    tmp_path.chmod(0o755)
    with pytest.raises(Misconfigured, match="not empty and no state"):
        StateDirectory.open(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("mvm-ci control-plane state 2\n", "newer version"),
        ("mvm-ci worker state 1\n", "no state"),
        ("", "no state"),
    ],
)
def test_another_version_is_refused(tmp_path: Path, version: str, says: str) -> None:
    StateDirectory.open(tmp_path / "state")
    (tmp_path / "state" / "version").write_text(version)
    with pytest.raises(Misconfigured, match=says):
        StateDirectory.open(tmp_path / "state")


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match=f"cannot use {tmp_path}/file"):
        StateDirectory.open(tmp_path / "file" / "state")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    state = StateDirectory.open(tmp_path / "state")
    reads = {
        "endpoint-key": state.endpoint_key,
        "udp-port": lambda: state.p2p_address("127.0.0.1:0"),
        "admin-token": state.admin_token,
    }
    for name, read in reads.items():
        read()
        file = state.path / name
        file.chmod(0o644)
        with pytest.raises(Misconfigured, match=f"chmod 600 {file}"):
            read()
        file.chmod(0o600)
        file.write_text("§§§")
        with pytest.raises(Misconfigured, match=str(file)) as caught:
            read()
        assert "§§§" not in str(caught.value)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="heartbeat"):
        ControlPlaneSettings(lease_ms=5_000)
    with pytest.raises(ValueError, match="port"):
        ControlPlaneSettings(port=70_000)
