"""A cluster of containers, as the acceptance suite uses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mvm_ci.testing.cluster import Cluster
from tests.acceptance.deployment import Deployment
from tests.deploy.docker.fleet import Fleet

_STOP_S = 60


@dataclass
class Commands(Cluster):
    """Where ``mvm-ci`` is run: on this machine, with the credentials that the script wrote."""

    written: Path = Path()

    @property
    def credentials(self) -> Path:
        return self.written


class Containers(Deployment):
    """What ``scripts/start-cluster.sh`` started."""

    kind = "containers"

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self.option = int(fleet.option)
        self.name = f"option {fleet.option}, containers"
        self.host = fleet.gateway()
        self.commands = Commands(directory, written=fleet.credentials)
        self._fleet = fleet
        (plane,) = fleet.containers("control-plane")
        self._ids = {"control-plane": plane, "worker-1": fleet.containers("worker")[0]}
        self.parts = tuple(self._ids)

    def kill(self, part: str) -> None:
        self._fleet.docker("kill", "--signal", "KILL", self._ids[part])

    def stop(self, part: str) -> None:
        self._fleet.docker("stop", "--time", str(_STOP_S), self._ids[part])

    def start(self, part: str) -> None:
        container = self._ids[part]
        self._fleet.docker("start", container)
        if part == "control-plane":
            self.until(lambda: self.ask("GET", "/readyz"), "the control plane answers")
        else:
            self.until(lambda: container in {one["name"] for one in self.workers()}, f"{part} is connected")

    def logs(self) -> str:
        return self._fleet.logs()
