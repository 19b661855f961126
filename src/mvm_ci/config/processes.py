"""The settings of each process, frozen."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mvm_ci.config import engines, settings
from mvm_ci.config.client import profile_in_use
from mvm_ci.config.parsers import PUBLIC_RELAYS, Address, address, path
from mvm_ci.config.settings import Setting
from mvm_ci.config.source import STDIN, Source, parsed, reveal, secret_in
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.labels import parse_labels
from mvm_ci.ports.transport import ANY_ADDRESS


@dataclass(frozen=True, slots=True)
class LogConfig:
    """``form``: auto, human or json."""

    level: str
    form: str


@dataclass(frozen=True, slots=True)
class KeepConfig:
    """What is kept of jobs that are over, unused modules, events and the audit log; None: no such limit.

    ``size``: bytes.
    """

    age_s: float | None
    count: int | None
    size: int | None
    modules_s: float | None
    events_s: float | None
    events: int | None
    journals_s: float | None
    artifacts_s: float | None
    keys_s: float | None
    audit_s: float | None


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """The UDP socket of a process, and how others reach it. ``external``: beyond a NAT that forwards.

    ``relays``: addresses; ``public_relays``: those of iroh's makers instead.
    """

    bind: Address
    external: Address | None = None
    relays: tuple[str, ...] = ()
    public_relays: bool = False


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A secret, or the file that holds it. ``where``: the setting that names the file."""

    text: str | None = field(default=None, repr=False)
    file: Path | None = None
    where: str = ""

    @property
    def given(self) -> bool:
        return self.text is not None or self.file is not None

    def read(self) -> str | None:
        """As it is now. Blocks. Raises ``Misconfigured``."""
        return self.text if self.file is None else secret_in(str(self.file), self.where)


@dataclass(frozen=True, slots=True)
class ServedEngineConfig:
    """An engine that is served. ``bind``: None: not over TCP. ``token``: not given: made once. ``url``: where
    this very one is reached; empty: not told.
    """

    bind: Address | None
    token: SecretSource
    tls_cert: Path | None
    tls_key: Path | None
    guests: "GuestConfig"
    url: str = ""


@dataclass(frozen=True, slots=True)
class EngineElsewhere:
    """The engine of a worker that has none. ``url``: None: the control plane's, over P2P. ``authority``: the
    file of certificates that it is signed with.
    """

    url: str | None
    token: SecretSource
    authority: Path | None


@dataclass(frozen=True, slots=True)
class ControlPlaneConfig:
    """What ``mvm-ci control-plane`` runs with."""

    bind: Address
    p2p: PeerConfig
    state_dir: Path
    secrets_key: Path | None
    ticket_file: Path | None
    credentials_file: Path | None
    lease_s: float
    max_jobs: int
    min_free_bytes: int
    keep: KeepConfig
    stall_s: float
    public_url: str
    """Empty: where it listens."""
    engine: ServedEngineConfig | None
    join_token_file: Path | None


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
    p2p: PeerConfig
    guests: GuestConfig
    grace_s: float
    labels: Mapping[str, str]
    engine: EngineElsewhere | None
    health_file: Path | None


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What ``mvm-ci engine`` runs with."""

    ticket: str | None
    ticket_file: Path | None
    join_token: str | None = field(repr=False)
    name: str
    state_dir: Path
    p2p: PeerConfig
    grace_s: float
    served: ServedEngineConfig


@dataclass(frozen=True, slots=True)
class DevConfig:
    """What ``mvm-ci dev`` runs with. ``credentials``: the file where the command line looks.

    ``profile``: the profile that it asks instead, if one is in use.
    """

    bind: Address
    state_dir: Path
    credentials: Path
    profile: str | None
    guests: GuestConfig


def log_config(source: Source) -> LogConfig:
    """How to log. Raises ``Misconfigured``."""
    return LogConfig(source.value(settings.LOG_LEVEL), source.value(settings.LOG_FORMAT))


def debug(environ: Mapping[str, str]) -> bool:
    """Whether an unexpected error shows its traceback. Never fails: it is asked while an error is shown."""
    return environ.get(str(settings.DEBUG.env)) == "1"


def build_cache(source: Source) -> Path:
    """Where ``mvm-ci build`` keeps what it built. Raises ``Misconfigured``."""
    return source.directory(settings.BUILD_CACHE)


def replay_cache(source: Source) -> Path:
    """Where ``mvm-ci replay`` keeps what it compiled. Raises ``Misconfigured``."""
    return source.directory(settings.REPLAY_CACHE)


def control_plane_config(source: Source) -> ControlPlaneConfig:
    """Raises ``Misconfigured``."""
    return ControlPlaneConfig(
        bind=source.value(settings.BIND),
        p2p=_peer(source, settings.P2P_BIND, settings.P2P_EXTERNAL),
        state_dir=source.directory(settings.CONTROL_PLANE_STATE),
        secrets_key=source.get(settings.SECRETS_KEY),
        ticket_file=source.get(settings.TICKET_OUT),
        credentials_file=source.get(settings.CREDENTIALS_OUT),
        lease_s=source.value(settings.LEASE),
        max_jobs=source.value(settings.MAX_JOBS),
        min_free_bytes=source.value(settings.MIN_FREE),
        keep=_keep(source),
        stall_s=source.value(settings.STALL),
        public_url=source.get(settings.PUBLIC_URL) or "",
        engine=_embedded_engine(source),
        join_token_file=source.get(settings.JOIN_TOKEN_OUT),
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
        p2p=_peer(source, settings.WORKER_P2P_BIND, settings.WORKER_P2P_EXTERNAL),
        guests=_guests(source),
        grace_s=source.value(settings.GRACE),
        labels=_labels(source),
        engine=_engine_elsewhere(source),
        health_file=source.get(settings.HEALTH_OUT),
    )


def engine_config(source: Source) -> EngineConfig:
    """Raises ``Misconfigured``."""
    ticket, ticket_file = _ticket(source)
    return EngineConfig(
        ticket=ticket,
        ticket_file=ticket_file,
        join_token=source.secret(settings.JOIN_TOKEN),
        name=source.get(engines.ENGINE_NAME) or socket.gethostname(),
        state_dir=source.directory(engines.ENGINE_STATE),
        p2p=_peer(source, settings.WORKER_P2P_BIND, settings.WORKER_P2P_EXTERNAL),
        grace_s=source.value(settings.GRACE),
        served=_served(source, source.value(engines.ENGINE_BIND)),
    )


def dev_config(source: Source) -> DevConfig:
    """Raises ``Misconfigured``."""
    return DevConfig(
        bind=source.value(settings.BIND),
        state_dir=source.directory(settings.DEV_STATE),
        credentials=source.directory(settings.CREDENTIALS),
        profile=_profile_before_credentials(source),
        guests=_guests(source),
    )


def _keep(source: Source) -> KeepConfig:
    return KeepConfig(
        age_s=source.value(settings.KEEP_AGE) or None,
        count=source.value(settings.KEEP_COUNT) or None,
        size=source.value(settings.KEEP_BYTES) or None,
        modules_s=source.value(settings.KEEP_MODULES) or None,
        events_s=source.value(settings.KEEP_EVENTS_AGE) or None,
        events=source.value(settings.KEEP_EVENTS) or None,
        journals_s=source.value(settings.KEEP_JOURNALS) or None,
        artifacts_s=source.value(settings.KEEP_ARTIFACTS) or None,
        keys_s=source.value(settings.KEEP_KEYS) or None,
        audit_s=source.value(settings.KEEP_AUDIT) or None,
    )


def _profile_before_credentials(source: Source) -> str | None:
    if source.in_environment(settings.CREDENTIALS) is not None:
        return None
    used = profile_in_use(source)
    return None if used is None else used[1].text


def client_peer(source: Source) -> PeerConfig:
    """How the command line dials a control plane of which it has the ticket. Raises ``Misconfigured``."""
    return _with_relays(source, address(ANY_ADDRESS), None)


def _peer(source: Source, bind: Setting[Address], external: Setting[Address]) -> PeerConfig:
    return _with_relays(source, source.value(bind), source.get(external))


def _with_relays(source: Source, bind: Address, external: Address | None) -> PeerConfig:
    relays = source.all(settings.RELAY)
    public = PUBLIC_RELAYS in relays
    if public and len(relays) > 1:
        raise Misconfigured(
            f"{settings.RELAY.flag}: {PUBLIC_RELAYS!r} stands alone; name it, or relays of your own"
        )
    return PeerConfig(bind=bind, external=external, relays=() if public else relays, public_relays=public)


def _embedded_engine(source: Source) -> ServedEngineConfig | None:
    bind = source.get(engines.PLANE_ENGINE_BIND)
    if source.value(engines.PLANE_ENGINE) == engines.EMBEDDED:
        return _served(source, bind)
    if bind is not None:
        raise Misconfigured("--engine-bind is for an engine that is here; add --engine embedded")
    return None


def _served(source: Source, bind: Address | None) -> ServedEngineConfig:
    cert, key = source.get(engines.TLS_CERT), source.get(engines.TLS_KEY)
    if key is not None and cert is None:
        raise Misconfigured("--engine-tls-key-file needs --engine-tls-cert-file")
    return ServedEngineConfig(
        bind=bind,
        token=_secret(source, engines.SERVED_TOKEN),
        tls_cert=cert,
        tls_key=key,
        guests=_guests(source),
        url=source.get(engines.ENGINE_URL) or "",
    )


def _engine_elsewhere(source: Source) -> EngineElsewhere | None:
    chosen = source.get(engines.WORKER_ENGINE)
    if chosen is None:
        chosen = source.get(engines.FLAWLESS_URL) or engines.EMBEDDED
    if chosen == engines.EMBEDDED:
        return None
    token = _secret(source, engines.ENGINE_TOKEN)
    if chosen != engines.P2P and not token.given:
        raise Misconfigured(
            f"the engine at {chosen} wants a token: give --engine-token-file or MVM_CI_ENGINE_TOKEN_FILE "
            "(the engine's state directory holds it, as engine-token)"
        )
    return EngineElsewhere(
        url=None if chosen == engines.P2P else chosen, token=token, authority=source.get(engines.ENGINE_CA)
    )


def _secret(source: Source, setting: Setting[str]) -> SecretSource:
    found = source.find(setting)
    if found is None:
        return SecretSource()
    if found.names_file and found.text != STDIN:
        return SecretSource(file=path(found.text), where=found.where)
    return SecretSource(text=reveal(setting, found))


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
    given = source.find(settings.WORKER_STATE)
    if given is not None:
        raise Misconfigured(
            f"an ephemeral worker keeps no state: unset {given.where}, or run it without --ephemeral"
        )
    return None


def _labels(source: Source) -> dict[str, str]:
    try:
        return parse_labels(source.all(settings.LABEL))
    except ValueError as error:
        raise Misconfigured(f"{settings.LABEL.flag} {error}") from None


def _ticket(source: Source) -> tuple[str | None, Path | None]:
    """One of ticket and ticket file: the first place that has either of them counts."""
    for look in (source.typed, source.in_environment, source.in_section):
        ticket, file = look(settings.TICKET), look(settings.TICKET_IN)
        if ticket is not None and file is not None:
            raise Misconfigured(f"{ticket.where} and {file.where} are both set; use one")
        if ticket is not None:
            return parsed(settings.TICKET, ticket), None
        if file is not None:
            return None, parsed(settings.TICKET_IN, file)
    raise Misconfigured(
        "no ticket: give --ticket-file, --ticket or CONTROL_PLANE_TICKET "
        "('mvm-ci control-plane' prints the ticket)"
    )
