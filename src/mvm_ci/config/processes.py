"""The settings of each process, frozen."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mvm_ci.config import settings
from mvm_ci.config.credentials import Credentials, read_credentials
from mvm_ci.config.parsers import Address
from mvm_ci.config.source import Source
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.labels import parse_labels


@dataclass(frozen=True, slots=True)
class LogConfig:
    """``form``: auto, human or json."""

    level: str
    form: str


@dataclass(frozen=True, slots=True)
class ControlPlaneConfig:
    """What ``mvm-ci control-plane`` runs with."""

    bind: Address
    p2p_bind: Address
    state_dir: Path
    ticket_file: Path | None
    credentials_file: Path | None
    lease_s: float
    stall_s: float


@dataclass(frozen=True, slots=True)
class GuestConfig:
    """What a worker gives its guests. ``module_cache``: None for one in its state directory."""

    slots: int
    allow_hosts: tuple[str, ...]
    allow_networks: tuple[str, ...]
    module_cache: Path | None


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What ``mvm-ci worker`` runs with: a ticket or a file with one. ``state_dir``: None for an ephemeral
    one.
    """

    ticket: str | None
    ticket_file: Path | None
    join_token: str | None = field(repr=False)
    name: str
    state_dir: Path | None
    p2p_bind: Address
    guests: GuestConfig
    grace_s: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DevConfig:
    """What ``mvm-ci dev`` runs with. ``credentials``: the file where the command line looks."""

    bind: Address
    state_dir: Path
    credentials: Path
    guests: GuestConfig


def log_config(source: Source) -> LogConfig:
    """How to log. Raises ``Misconfigured``."""
    return LogConfig(source.value(settings.LOG_LEVEL), source.value(settings.LOG_FORMAT))


def debug(environ: Mapping[str, str]) -> bool:
    """Whether an unexpected error shows its traceback. Never fails: it is asked while an error is shown."""
    return environ.get(str(settings.DEBUG.env)) == "1"


def client_config(source: Source) -> Credentials:
    """Where to send requests, and the token. Raises ``Misconfigured``."""
    url, token = source.get(settings.URL), source.secret(settings.TOKEN)
    if url is not None and token is not None:
        return Credentials(url, token)
    path = source.directory(settings.CREDENTIALS)
    stored = read_credentials(path)
    if stored is None:
        missing = "address" if url is None else "token"
        raise Misconfigured(
            f"no {missing} of a control plane: start one with 'mvm-ci dev', or give --url and --token-file "
            f"(there is no {path})"
        )
    if url is not None and url != stored.url:
        # A token goes to the server it was made for and to no other.
        raise Misconfigured(f"the token in {path} is for {stored.url}, not for {url}; give --token-file")
    if token is not None:
        return Credentials(stored.url, token)
    return stored


def build_cache(source: Source) -> Path:
    """Where ``mvm-ci build`` keeps what it built. Raises ``Misconfigured``."""
    return source.directory(settings.BUILD_CACHE)


def control_plane_config(source: Source) -> ControlPlaneConfig:
    """Raises ``Misconfigured``."""
    return ControlPlaneConfig(
        bind=source.value(settings.BIND),
        p2p_bind=source.value(settings.P2P_BIND),
        state_dir=source.directory(settings.CONTROL_PLANE_STATE),
        ticket_file=source.get(settings.TICKET_OUT),
        credentials_file=source.get(settings.CREDENTIALS_OUT),
        lease_s=source.value(settings.LEASE),
        stall_s=source.value(settings.STALL),
    )


def worker_config(source: Source) -> WorkerConfig:
    """Raises ``Misconfigured``."""
    ticket, ticket_file = _ticket(source)
    return WorkerConfig(
        ticket=ticket,
        ticket_file=ticket_file,
        join_token=source.secret(settings.JOIN_TOKEN),
        name=source.get(settings.WORKER_NAME) or socket.gethostname(),
        state_dir=_worker_state(source),
        p2p_bind=source.value(settings.WORKER_P2P_BIND),
        guests=_guests(source),
        grace_s=source.value(settings.GRACE),
        labels=_labels(source),
    )


def dev_config(source: Source) -> DevConfig:
    """Raises ``Misconfigured``."""
    return DevConfig(
        bind=source.value(settings.BIND),
        state_dir=source.directory(settings.DEV_STATE),
        credentials=source.directory(settings.CREDENTIALS),
        guests=_guests(source),
    )


def _guests(source: Source) -> GuestConfig:
    return GuestConfig(
        slots=source.get(settings.SLOTS) or os.cpu_count() or 1,
        allow_hosts=source.all(settings.ALLOW_HOST),
        allow_networks=source.all(settings.ALLOW_NETWORK),
        module_cache=source.get(settings.MODULE_CACHE),
    )


def _worker_state(source: Source) -> Path | None:
    if source.value(settings.EPHEMERAL) != "1":
        return source.directory(settings.WORKER_STATE)
    given = source.text(settings.WORKER_STATE)
    if given is not None:
        raise Misconfigured(
            f"an ephemeral worker keeps no state: unset {given[0]}, or run it without --ephemeral"
        )
    return None


def _labels(source: Source) -> dict[str, str]:
    try:
        return parse_labels(source.all(settings.LABEL))
    except ValueError as error:
        raise Misconfigured(f"{settings.LABEL.flag} {error}") from None


def _ticket(source: Source) -> tuple[str | None, Path | None]:
    """One of ticket and ticket file. A flag, of either kind, beats the environment."""
    found = [source.text(settings.TICKET), source.text(settings.TICKET_IN)]
    typed = [one for one in found if one is not None and one[0].startswith("--")]
    given = typed or [one for one in found if one is not None]
    if not given:
        raise Misconfigured(
            "no ticket: give --ticket-file, --ticket or CONTROL_PLANE_TICKET "
            "('mvm-ci control-plane' prints the ticket)"
        )
    if len(given) > 1:
        raise Misconfigured(f"{given[0][0]} and {given[1][0]} are both set; use one")
    if given[0] == found[0]:
        return source.get(settings.TICKET), None
    return None, source.get(settings.TICKET_IN)
