"""What a process says to whoever started it."""

import sys
from typing import Final

import structlog

from mvm_ci.config.parsers import Address

_log = structlog.get_logger(__name__)
_HERE: Final = ("127.", "localhost", "::1")


def say(line: str) -> None:
    """A line of data, at once, even into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def warn_of_plain_http(bind: Address, event: str = "api_is_plain_http") -> None:
    """Says so if an API is to be reached from elsewhere: tokens in plain HTTP can be read on the way."""
    if not bind.host.startswith(_HERE):
        _log.warning(
            event,
            bind=str(bind),
            hint="tokens cross the network unencrypted: put a TLS proxy before it, or give it a certificate",
        )
