"""What the processes of a local cluster are started with."""

import os
import sys
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.loadtest.simulation import Simulation

CORES: Final = len(os.sched_getaffinity(0))
"""Also runners of an engine that workers share: one a core."""
_ANY: Final = "127.0.0.1:0"
_GRACE: Final = "2s"


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """What to start. ``option``: where the engine is (1 to 4), as in ``results.Step``; ``slots``: of each
    worker; ``simulated``: many workers in one process: those of option 1 run nothing, a job of theirs takes
    ``service_ms``. ``stub``: IP of a server here that guests may ask, at any port; empty: none.
    ``directory``: in which a temporary one is made; None: the system's.
    """

    option: int = 1
    slots: int = 1
    simulated: bool = False
    service_ms: float = 100.0
    stub: str = ""
    directory: Path | None = None


class Commands:
    """Arguments of ``mvm-ci``. ``directory``: below which all state is; ``engine_url``: of an engine that
    listens, once it does.
    """

    def __init__(self, local: Local, directory: Path) -> None:
        self._local = local
        self._directory = directory
        self.ticket = directory / "ticket"
        self.credentials = directory / "credentials.json"
        self.engine_url = ""

    def control_plane(self) -> Sequence[str]:
        return (
            *("control-plane", "--bind", _ANY, "--p2p-bind", _ANY, "--ticket-file", str(self.ticket)),
            *("--state-dir", str(self._directory / "control-plane")),
            *("--credentials-file", str(self.credentials)),
            *self._embedded(),
        )

    def engine(self) -> Sequence[str]:
        return (
            *("engine", "--bind", _ANY, "--p2p-bind", _ANY, "--ticket-file", str(self.ticket)),
            *("--state-dir", str(self._directory / "engine"), "--slots", str(CORES)),
            *self._reaching(),
        )

    def worker(self, name: str) -> Sequence[str]:
        return (
            *("worker", "--name", name, "--slots", str(self._local.slots)),
            *("--state-dir", str(self._directory / "workers" / name), "--grace", _GRACE),
            *("--ticket-file", str(self.ticket), "--p2p-bind", _ANY),
            *(self._reaching() if self._local.option == 1 else self._elsewhere()),
        )

    def simulation(self, join_token: str) -> Simulation:
        """The same for simulated workers."""
        elsewhere = {1: None, 2: "p2p"}
        return Simulation(
            ticket_file=str(self.ticket),
            join_token=join_token,
            directory=str(self._directory),
            slots=self._local.slots,
            engine=elsewhere.get(self._local.option, self.engine_url),
            engine_token_file="" if self._local.option in elsewhere else str(self._engine_token),
            service_ms=self._local.service_ms,
        )

    def directories(self) -> dict[str, list[Path]]:
        """By part: where its state is."""
        below = self._directory
        return {
            "control-plane": [below / "control-plane"],
            "engine": [below / "engine"],
            "workers": [below / "workers", *below.glob("simulated-*")],
        }

    def environment(self, around: Mapping[str, str]) -> dict[str, str]:
        """Of what is ``around``, without the settings of whoever runs this. Compiled modules are shared:
        compiling takes seconds.
        """
        own = {"CONTROL_PLANE_TICKET", "FLAWLESS_URL", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
        kept = {
            name: value
            for name, value in around.items()
            if name not in own and not name.startswith(("MVM_CI_", "XDG_"))
        }
        home = Path(around.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return kept | {
            "HOME": str(self._directory),
            "PATH": f"{Path(sys.executable).parent}:{around.get('PATH', os.defpath)}",
            "MVM_CI_MODULE_CACHE": around.get("MVM_CI_MODULE_CACHE") or str(home / "mvm-ci" / "compiled"),
            "MVM_CI_LOG_LEVEL": "warning",
        }

    @property
    def _engine_token(self) -> Path:
        under = "engine" if self._local.option == 3 else "control-plane/engine"
        return self._directory / under / "engine-token"

    def _embedded(self) -> Sequence[str]:
        if self._local.option not in {2, 4}:
            return ()
        listens = ("--engine-bind", _ANY) if self._local.option == 4 else ()
        return ("--engine", "embedded", "--slots", str(CORES), *listens, *self._reaching())

    def _elsewhere(self) -> Sequence[str]:
        if self._local.option == 2:
            return ("--engine", "p2p")
        return ("--engine", self.engine_url, "--engine-token-file", str(self._engine_token))

    def _reaching(self) -> Sequence[str]:
        stub = self._local.stub
        if not stub:
            return ()
        host = f"[{stub}]" if ":" in stub else stub
        return ("--allow-host", f"{host}:*", "--allow-network", str(ip_network(stub)))
