"""A relay is an addition: without it, or with one that is down, what can be reached directly is."""

from __future__ import annotations

import pytest

from mvm_ci.testing.cluster import Cluster

NOBODY = ("--relay", "http://127.0.0.1:9")


@pytest.mark.parametrize("relay", [(), NOBODY], ids=["no relay", "relay down"])
def test_a_worker_is_shown_with_its_direct_path(empty: Cluster, noop: str, relay: tuple[str, ...]) -> None:
    control = empty.control_plane(*relay)
    empty.worker("one", *relay)
    (shown,) = empty.json("worker", "list")["workers"]
    assert (shown["connected"], shown["path"]) == (True, "direct")
    assert "direct" in empty.ok("worker", "list")
    empty.ok("run", noop)
    assert ("relay_not_reached" in control.stderr) == bool(relay)


@pytest.mark.parametrize(
    ("typed", "words"),
    [(["relay.example"], "nor 'public'"), (["public", "https://relay.example"], "stands alone")],
)
def test_what_is_no_relay_is_refused(empty: Cluster, typed: list[str], words: str) -> None:
    flags = [part for one in typed for part in ("--relay", one)]
    done = empty.run("control-plane", "--state-dir", "state", *flags)
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert not (empty.directory / "state").exists()
