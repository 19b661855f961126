"""The settings by which commands reach a control plane."""

from typing import Final

from mvm_ci.config import parsers
from mvm_ci.config.setting import Setting

_FILE: Final = "FILE"
URL = Setting(
    "--url",
    "MVM_CI_URL",
    parsers.api_address,
    "of the profile or credentials file",
    "Address of the control plane's API, or its ticket.",
    "URL",
)
TOKEN = Setting(
    "--token-file",
    "MVM_CI_TOKEN",
    parsers.line,
    "of the profile or credentials file",
    "File with the API token; - for stdin.",
    _FILE,
)
CREDENTIALS = Setting(
    None,
    "MVM_CI_CREDENTIALS",
    parsers.path,
    "$XDG_CONFIG_HOME/mvm-ci/credentials.json",
    "File with address and token, mode 0600.",
    _FILE,
)
CONFIG = Setting(
    "--config",
    "MVM_CI_CONFIG",
    parsers.path,
    "$XDG_CONFIG_HOME/mvm-ci/config.toml",
    "Configuration file, TOML.",
    _FILE,
)
PROFILE = Setting(
    "--profile",
    "MVM_CI_PROFILE",
    parsers.profile_name,
    "of the configuration file",
    "Profile of the configuration file, with address and token.",
    "NAME",
)
NAMESPACE = Setting(
    "--namespace",
    "MVM_CI_NAMESPACE",
    parsers.namespace,
    "of the profile or the token",
    "In which namespace to work, with a token for all of them.",
    "NAME",
)
