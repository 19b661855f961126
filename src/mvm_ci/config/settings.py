"""The table of settings: flag, variable, default, meaning."""

from collections.abc import Mapping
from typing import Any, Final

from mvm_ci.config import engines, parsers
from mvm_ci.config.keeping import KEEP_AGE as KEEP_AGE
from mvm_ci.config.keeping import KEEP_ARTIFACTS as KEEP_ARTIFACTS
from mvm_ci.config.keeping import KEEP_AUDIT as KEEP_AUDIT
from mvm_ci.config.keeping import KEEP_BYTES as KEEP_BYTES
from mvm_ci.config.keeping import KEEP_COUNT as KEEP_COUNT
from mvm_ci.config.keeping import KEEP_EVENTS as KEEP_EVENTS
from mvm_ci.config.keeping import KEEP_EVENTS_AGE as KEEP_EVENTS_AGE
from mvm_ci.config.keeping import KEEP_JOURNALS as KEEP_JOURNALS
from mvm_ci.config.keeping import KEEP_KEYS as KEEP_KEYS
from mvm_ci.config.keeping import KEEP_MODULES as KEEP_MODULES
from mvm_ci.config.reaching import CONFIG as CONFIG
from mvm_ci.config.reaching import CREDENTIALS as CREDENTIALS
from mvm_ci.config.reaching import NAMESPACE as NAMESPACE
from mvm_ci.config.reaching import PROFILE as PROFILE
from mvm_ci.config.reaching import TOKEN as TOKEN
from mvm_ci.config.reaching import URL as URL
from mvm_ci.config.setting import Setting as Setting
from mvm_ci.ports.transport import ANY_ADDRESS

_LEVELS: Final = ("debug", "info", "warning", "error")
_FORMATS: Final = ("auto", "human", "json")
_DIR, _FILE, _TIME, _ADDRESS = "DIRECTORY", "FILE", "DURATION", "HOST:PORT"
LOG_LEVEL = Setting(
    "--log-level",
    "MVM_CI_LOG_LEVEL",
    parsers.one_of(*_LEVELS),
    "info",
    f"One of {', '.join(_LEVELS)}.",
    "LEVEL",
)
LOG_FORMAT = Setting(
    "--log-format",
    "MVM_CI_LOG_FORMAT",
    parsers.one_of(*_FORMATS),
    "auto",
    "human, json, or auto: human in a terminal.",
    "FORMAT",
)
DEBUG = Setting(
    None, "MVM_CI_DEBUG", parsers.one_of("0", "1"), "0", "1 shows the traceback of an unexpected error."
)
BIND = Setting(
    "--bind",
    "MVM_CI_BIND",
    parsers.address,
    "127.0.0.1:3020",
    "Where the API listens; port 0 for any.",
    _ADDRESS,
)
P2P_BIND = Setting(
    "--p2p-bind",
    "MVM_CI_P2P_BIND",
    parsers.address,
    "127.0.0.1:0",
    "Where workers connect (UDP). Port 0: any at the first start, then the same again.",
    _ADDRESS,
)
P2P_EXTERNAL = Setting(
    "--p2p-external",
    "MVM_CI_P2P_EXTERNAL",
    parsers.address,
    "none",
    "Where the UDP socket is reached from outside (IP and port), if a NAT forwards to it.",
    _ADDRESS,
)
RELAY = Setting(
    "--relay",
    "MVM_CI_RELAY",
    parsers.relay,
    "none",
    "Relay to meet at where no direct path exists: its address, or public for those of iroh's makers.",
    "URL",
)
CONTROL_PLANE_STATE = Setting(
    "--state-dir",
    "MVM_CI_CONTROL_PLANE_STATE_DIR",
    parsers.path,
    "$XDG_STATE_HOME/mvm-ci/control-plane",
    "Queue, key and blobs.",
    _DIR,
)
SECRETS_KEY = Setting(
    "--secrets-key-file",
    "MVM_CI_SECRETS_KEY_FILE",
    parsers.path,
    "in the state directory",
    "The keys that encrypt secrets, one a line; made at the first start.",
    _FILE,
)
TICKET_OUT = Setting(
    "--ticket-file", "MVM_CI_TICKET_FILE", parsers.path, "none", "Also write the ticket to this file.", _FILE
)
CREDENTIALS_OUT = Setting(
    "--credentials-file",
    "MVM_CI_CREDENTIALS_FILE",
    parsers.path,
    "none",
    "Write address and admin token to this file (0600).",
    _FILE,
)
JOIN_TOKEN_OUT = Setting(
    "--join-token-file",
    "MVM_CI_JOIN_TOKEN_FILE",
    parsers.path,
    "none",
    "Keep a join token for workers in this file (0600), renewed in time.",
    _FILE,
)
LEASE = Setting(
    "--lease",
    "MVM_CI_LEASE",
    parsers.lease,
    "15s",
    "After this silence a worker counts as lost.",
    _TIME,
)
MAX_JOBS = Setting(
    "--max-jobs",
    "MVM_CI_MAX_JOBS",
    parsers.count,
    "10000000",
    "Jobs that have not ended; more are refused.",
    "N",
)
MIN_FREE = Setting(
    "--min-free",
    "MVM_CI_MIN_FREE",
    parsers.size,
    "256MiB",
    "Free space on the disk of the state directory below which jobs are refused.",
    "SIZE",
)
TICKET = Setting(
    "--ticket", "CONTROL_PLANE_TICKET", parsers.line, "none", "The control plane's ticket.", "TICKET"
)
TICKET_IN = Setting(
    "--ticket-file",
    "MVM_CI_TICKET_FILE",
    parsers.path,
    "none",
    "File with the ticket; read again when dialling fails.",
    _FILE,
)
JOIN_TOKEN = Setting(
    "--join-token-file",
    "MVM_CI_JOIN_TOKEN",
    parsers.line,
    "none",
    "File with a join token, for the first start; - for stdin.",
    _FILE,
)
WORKER_NAME = Setting(
    "--name", "MVM_CI_WORKER_NAME", parsers.line, "the host's name", "How the worker is shown.", "NAME"
)
WORKER_STATE = Setting(
    "--state-dir",
    "MVM_CI_WORKER_STATE_DIR",
    parsers.path,
    "$XDG_STATE_HOME/mvm-ci/worker",
    "Key, module cache and blobs.",
    _DIR,
)
WORKER_P2P_BIND = Setting(
    "--p2p-bind",
    "MVM_CI_WORKER_P2P_BIND",
    parsers.address,
    ANY_ADDRESS,
    "The UDP socket it dials from.",
    _ADDRESS,
)
WORKER_P2P_EXTERNAL = Setting(
    "--p2p-external",
    "MVM_CI_WORKER_P2P_EXTERNAL",
    parsers.address,
    "none",
    "Where the NAT before it shows its UDP socket (IP and port), if that is known and stays.",
    _ADDRESS,
)
SLOTS = Setting(
    "--slots",
    "MVM_CI_SLOTS",
    parsers.slot_count,
    "one per core",
    "How many guests compute at once; one that waits holds no slot.",
    "N",
)
ALLOW_HOST = Setting(
    "--allow-host",
    "MVM_CI_ALLOW_HOST",
    parsers.host_pattern,
    "none",
    "Host that guests may call: name, name:port, *.domain or *.",
    "HOST",
)
ALLOW_NETWORK = Setting(
    "--allow-network",
    "MVM_CI_ALLOW_NETWORK",
    parsers.network,
    "none",
    "Private network that guests may reach all the same.",
    "CIDR",
)
MODULE_CACHE = Setting(
    None,
    "MVM_CI_MODULE_CACHE",
    parsers.path,
    "in the state directory",
    "Compiled modules; workers of one user may share it.",
    _DIR,
)
GRACE = Setting(
    "--grace",
    "MVM_CI_GRACE",
    parsers.duration,
    "30s",
    "How long a stopping worker waits for its guests.",
    _TIME,
)
STALL = Setting(
    "--stall-timeout",
    "MVM_CI_STALL_TIMEOUT",
    parsers.positive_duration,
    "2m",
    "After this time a job that its worker did not start is taken back.",
    _TIME,
)
PUBLIC_URL = Setting(
    "--public-url",
    "MVM_CI_PUBLIC_URL",
    parsers.base_url,
    "the address it listens on",
    "Address of the API for those outside who complete promises.",
    "URL",
)
LABEL = Setting(
    "--label",
    "MVM_CI_LABEL",
    parsers.label,
    "none",
    "What the worker offers to jobs that ask for it.",
    "KEY[=VALUE]",
)
EPHEMERAL = Setting(
    "--ephemeral",
    "MVM_CI_EPHEMERAL",
    parsers.one_of("0", "1"),
    "0",
    "No state directory: a new key each start, forgotten when it leaves.",
)
HEALTH_OUT = Setting(
    "--health-file",
    "MVM_CI_HEALTH_FILE",
    parsers.path,
    "none",
    "Touch this file every few seconds while it is connected.",
    _FILE,
)
BUILD_CACHE = Setting(
    None,
    "MVM_CI_BUILD_CACHE",
    parsers.path,
    "$XDG_CACHE_HOME/mvm-ci/build",
    "Modules that were built before, and packages.",
    _DIR,
)
REPLAY_CACHE = Setting(
    None,
    "MVM_CI_MODULE_CACHE",
    parsers.path,
    "$XDG_CACHE_HOME/mvm-ci/compiled",
    "Modules compiled for replays.",
    _DIR,
)
DEV_STATE = Setting(
    "--state-dir",
    "MVM_CI_DEV_STATE_DIR",
    parsers.path,
    "$XDG_STATE_HOME/mvm-ci/dev",
    "Everything dev keeps.",
    _DIR,
)

CLIENT: Final = (URL, TOKEN, NAMESPACE, CREDENTIALS, PROFILE)
FILE: Final = (CONFIG,)
LOGGING: Final = (LOG_LEVEL, LOG_FORMAT, DEBUG)
CONTROL_PLANE: Final = (
    BIND,
    P2P_BIND,
    P2P_EXTERNAL,
    RELAY,
    CONTROL_PLANE_STATE,
    SECRETS_KEY,
    TICKET_OUT,
    CREDENTIALS_OUT,
    LEASE,
    MAX_JOBS,
    MIN_FREE,
    KEEP_AGE,
    KEEP_COUNT,
    KEEP_BYTES,
    KEEP_MODULES,
    KEEP_EVENTS_AGE,
    KEEP_EVENTS,
    KEEP_JOURNALS,
    KEEP_ARTIFACTS,
    KEEP_KEYS,
    KEEP_AUDIT,
    STALL,
    PUBLIC_URL,
    JOIN_TOKEN_OUT,
    engines.PLANE_ENGINE,
    engines.PLANE_ENGINE_BIND,
    engines.SERVED_TOKEN,
    engines.TLS_CERT,
    engines.TLS_KEY,
    SLOTS,
    ALLOW_HOST,
    ALLOW_NETWORK,
    MODULE_CACHE,
)
_PEER: Final = (
    WORKER_P2P_BIND,
    WORKER_P2P_EXTERNAL,
    RELAY,
    SLOTS,
    ALLOW_HOST,
    ALLOW_NETWORK,
    GRACE,
    MODULE_CACHE,
)
"""Of a worker and of an engine."""
WORKER: Final = (
    TICKET,
    TICKET_IN,
    JOIN_TOKEN,
    WORKER_NAME,
    WORKER_STATE,
    *_PEER,
    LABEL,
    EPHEMERAL,
    HEALTH_OUT,
    engines.WORKER_ENGINE,
    engines.FLAWLESS_URL,
    engines.ENGINE_TOKEN,
    engines.ENGINE_CA,
)
ENGINE: Final = (
    engines.ENGINE_BIND,
    engines.SERVED_TOKEN,
    engines.TLS_CERT,
    engines.TLS_KEY,
    engines.ENGINE_URL,
    TICKET,
    TICKET_IN,
    JOIN_TOKEN,
    engines.ENGINE_NAME,
    engines.ENGINE_STATE,
    *_PEER,
)
DEV: Final = (BIND, DEV_STATE, SLOTS, ALLOW_HOST, ALLOW_NETWORK, MODULE_CACHE)
BUILD: Final = (BUILD_CACHE,)
REPLAY: Final = (REPLAY_CACHE,)
SECRETS: Final = (TOKEN, JOIN_TOKEN, engines.ENGINE_TOKEN, engines.SERVED_TOKEN)
"""Their variable holds the secret; the variable with ``_FILE`` and the flag name a file."""
LISTS: Final = (ALLOW_HOST, ALLOW_NETWORK, RELAY, LABEL)
"""Their flag may be repeated; their variable takes commas."""
SWITCHES: Final = (EPHEMERAL,)
"""Their flag takes no value: it stands for ``1``."""
AMBIENT: Final = (CONFIG, PROFILE, NAMESPACE)
"""For whatever asks for settings: ``cli.options`` keeps them aside, commands do not get them by name."""
IN_PROFILES: Final = (URL, TOKEN, NAMESPACE)
"""The keys of ``[profiles.NAME]`` in the configuration file."""
IN_SECTIONS: Final[Mapping[str, tuple[Setting[Any], ...]]] = {
    "control-plane": (*CONTROL_PLANE, LOG_LEVEL, LOG_FORMAT),
    "worker": (*WORKER, LOG_LEVEL, LOG_FORMAT),
    "engine": (*ENGINE, LOG_LEVEL, LOG_FORMAT),
    "dev": (*DEV, LOG_LEVEL, LOG_FORMAT),
    "build": BUILD,
    "replay": REPLAY,
}
"""The other sections of the configuration file, one for each command that has settings of its own."""
