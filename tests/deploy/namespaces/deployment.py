"""Option 2 with five workers that reach nothing but the control plane's UDP port."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.deployment import Processes
from tests.deploy.namespaces.lan import API_PORT, ENGINE_PORT, P2P_PORT, PLANE, Lan
from tests.deploy.network import inside


class Namespaces(Processes):
    """The thread that makes it and uses it must live in the namespace of the control plane."""

    kind = "namespaces"
    # The API and the engine listen for everybody: what keeps workers from them is the firewall.
    plane_flags = (
        *("--bind", f"0.0.0.0:{API_PORT}", "--engine-bind", f"0.0.0.0:{ENGINE_PORT}"),
        *("--p2p-bind", f"{PLANE}:{P2P_PORT}"),
    )
    worker_flags = ("--p2p-bind", "0.0.0.0:0")

    def __init__(self, directory: Path, lan: Lan) -> None:
        self.lan = lan
        super().__init__(directory, option=2, workers=len(lan.workers))

    def _worker(self, name: str, token: str) -> None:
        with inside(self.lan.workers[name]):
            super()._worker(name, token)
