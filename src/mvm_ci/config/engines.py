"""The settings of engines that serve workers, and of workers that have one elsewhere."""

from typing import Final

from mvm_ci.config import parsers
from mvm_ci.config.setting import Setting

EMBEDDED: Final = "embedded"
P2P: Final = "p2p"
NONE: Final = "none"
_FILE, _ADDRESS = "FILE", "HOST:PORT"

WORKER_ENGINE = Setting(
    "--engine",
    "MVM_CI_ENGINE",
    parsers.engine,
    EMBEDDED,
    "Where guests run: embedded, in this worker; p2p, at the control plane; or the address of an engine.",
    "embedded|p2p|URL",
)
FLAWLESS_URL = Setting(
    None,
    "FLAWLESS_URL",
    parsers.base_url,
    "none",
    "The same as --engine URL, which goes before it: the name that set-ups for Flawless use.",
    "URL",
)
ENGINE_TOKEN = Setting(
    "--engine-token-file",
    "MVM_CI_ENGINE_TOKEN",
    parsers.line,
    "none",
    "File with the token of the engine's API; read again when the engine is dialled.",
    _FILE,
)
ENGINE_CA = Setting(
    "--engine-ca-file",
    "MVM_CI_ENGINE_CA_FILE",
    parsers.path,
    "the system's",
    "Certificates (PEM) that an engine reached by https must be signed with.",
    _FILE,
)
PLANE_ENGINE = Setting(
    "--engine",
    "MVM_CI_ENGINE",
    parsers.one_of(NONE, EMBEDDED),
    NONE,
    "embedded: also run an engine, for workers that are started with --engine p2p.",
    "none|embedded",
)
PLANE_ENGINE_BIND = Setting(
    "--engine-bind",
    "MVM_CI_ENGINE_BIND",
    parsers.address,
    "none",
    "Where the embedded engine also listens for workers started with --engine URL.",
    _ADDRESS,
)
ENGINE_BIND = Setting(
    "--bind",
    "MVM_CI_ENGINE_BIND",
    parsers.address,
    "127.0.0.1:27288",
    "Where the engine's API listens; port 0 for any.",
    _ADDRESS,
)
SERVED_TOKEN = Setting(
    "--engine-token-file",
    "MVM_CI_ENGINE_TOKEN",
    parsers.line,
    "made once, in the state directory",
    "File with the token that workers must show; - for stdin.",
    _FILE,
)
TLS_CERT = Setting(
    "--engine-tls-cert-file",
    "MVM_CI_ENGINE_TLS_CERT_FILE",
    parsers.path,
    "none: plain HTTP",
    "Certificate (PEM, with its chain) of the engine's API.",
    _FILE,
)
TLS_KEY = Setting(
    "--engine-tls-key-file",
    "MVM_CI_ENGINE_TLS_KEY_FILE",
    parsers.path,
    "in the certificate's file",
    "Its private key (PEM).",
    _FILE,
)
ENGINE_URL = Setting(
    "--engine-url",
    "MVM_CI_ENGINE_URL",
    parsers.base_url,
    "none",
    "Where this very engine is reached, if workers name a load balancer: told to them, and they go on there.",
    "URL",
)
ENGINE_NAME = Setting(
    "--name", "MVM_CI_ENGINE_NAME", parsers.line, "the host's name", "How the engine is shown.", "NAME"
)
ENGINE_STATE = Setting(
    "--state-dir",
    "MVM_CI_ENGINE_STATE_DIR",
    parsers.path,
    "$XDG_STATE_HOME/mvm-ci/engine",
    "Key, token, module cache and blobs.",
    "DIRECTORY",
)
