"""A grant: the control plane's word that a worker may have an engine elsewhere run one placement.

The worker hands it to the engine, and the engine shows it to the control plane, which gives it what is to be
run. It is of use for that one placement, and only as long as the worker holds it.
"""

import hmac
from enum import StrEnum
from typing import Final

import msgspec

from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.job import Placed

_NUMBER: Final = 8
_SEAL: Final = 16
GRANT_BYTES: Final = _NUMBER + _SEAL
_LARGEST: Final = (1 << 63) - 1


class PeerRole(StrEnum):
    """What a peer of the control plane is. Stored, and told: never rename."""

    WORKER = "worker"  # has an engine of its own
    FOLLOWER = "follower"  # a worker that has an engine elsewhere run what it is given
    ENGINE = "engine"  # runs what followers bring; is given nothing itself


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """``seal``: ``GRANT_BYTES`` bytes that only the control plane can make and read."""

    placed: Placed
    seal: bytes


def seal(key: bytes, placed: Placed, session: SessionId) -> Grant:
    """The grant for a placement that ``session`` holds."""
    number = session.to_bytes(_NUMBER, "big")
    return Grant(placed, number + _mac(key, placed, number))


def well_formed(grant: Grant) -> bool:
    """Whether it has the form of a grant; who made it only the control plane can tell."""
    numbers = (grant.placed.job, grant.placed.epoch)
    return len(grant.seal) == GRANT_BYTES and all(0 <= number <= _LARGEST for number in numbers)


def opened(key: bytes, grant: Grant) -> SessionId | None:
    """The session that holds the placement, if it is: None: nobody with this key made that grant."""
    if not well_formed(grant):
        return None
    number, mac = grant.seal[:_NUMBER], grant.seal[_NUMBER:]
    if not hmac.compare_digest(mac, _mac(key, grant.placed, number)):
        return None
    return SessionId(int.from_bytes(number, "big"))


def _mac(key: bytes, placed: Placed, number: bytes) -> bytes:
    told = placed.job.to_bytes(_NUMBER, "big") + placed.epoch.to_bytes(_NUMBER, "big") + number
    return hmac.digest(key, b"mvm-ci grant 1 " + told, "sha256")[:_SEAL]
