"""The API of an engine that serves workers: what is said over HTTP, as JSON.

::

    worker                                         engine
      │ GET  /v1/engine ─────────────────────────▶ │   which engine this is, and what room it has
      │ GET  /v1/clients/{client}/events ────────▶ │   one JSON document a line, as long as the worker follows
      │ ◀────────────── Room, Has, LeaseWanted ... │
      │ POST /v1/clients/{client}/executions ────▶ │   grants; 429: there is no room
      │ ◀──────────────────────── Started, Ended │
      │ POST /v1/clients/{client}/orders ────────▶ │   stop, drop, give back; the lease; what was seen

A *client* is one process of a worker: its incarnation. The engine keeps an end until the client has ``Seen``
it. It lets effects of a client's guests leave as long as that client's lease lasts, which it asks for: the
answer counts from when the question was asked, so no delay makes it longer than the worker's own.
"""

from typing import Final, TypeAlias

import msgspec

from mvm_ci.domain.grant import Grant
from mvm_ci.domain.job import Placed
from mvm_ci.wire.messages import EndedItem

ENGINE_PORT: Final = 27_288
SAY_MS: Final = 5_000
"""A client hears something at least so often."""
SAY_BUSY_MS: Final = 2_000
"""The same of one that has something here."""
SILENCES: Final = 3
"""So many of these without a word, and the engine counts as gone."""
MAX_ORDERS: Final = 4 << 20
"""Bytes of one request."""
MAX_GRANTS: Final = 1_024
"""In one request."""


class Room(msgspec.Struct, frozen=True, tag="room"):
    """The engine as it is now. ``engine``: its process; ``url``: where that very one is reached, if it says.

    ``slots``: guests that compute at once; ``guests``: what it has; ``capacity``: how many of this client's
    it has at most, its share of all that it can have; ``extra``: how many of them it has or may take beyond
    the slots; ``runners``: processes that can run guests.
    ``draining``: it takes nothing more.
    """

    engine: str
    slots: int
    capacity: int
    runners: int
    guests: int = 0
    extra: int = 0
    draining: bool = False
    connected: bool = False
    """With the control plane."""
    url: str = ""
    version: str = ""


class Has(msgspec.Struct, frozen=True, tag="has"):
    """All that the engine has of the client, or keeps an end of: first in each stream."""

    placements: tuple[Placed, ...]


class LeaseWanted(msgspec.Struct, frozen=True, tag="lease-wanted"):
    """For how long is the client's lease valid? ``number`` counts up."""

    number: int


class Started(msgspec.Struct, frozen=True, tag="started"):
    """Their guests run."""

    placements: tuple[Placed, ...]


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """They are over; ``number`` counts up, for ``Seen``. ``run_ns``: of each, how long it computed."""

    number: int
    items: tuple[EndedItem, ...]
    run_ns: tuple[int, ...]


Event: TypeAlias = Room | Has | LeaseWanted | Started | Ended


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Their jobs are being cancelled (``cancel``: guests are told first) or paused."""

    placements: tuple[Placed, ...]
    cancel: bool = False


class Drop(msgspec.Struct, frozen=True, tag="drop"):
    """They belong to somebody else: no word about them any more."""

    placements: tuple[Placed, ...]


class GiveBack(msgspec.Struct, frozen=True, tag="give-back"):
    """They end as ``Released``: those that have not started, or with ``running`` all of them."""

    placements: tuple[Placed, ...]
    running: bool = False


class Lease(msgspec.Struct, frozen=True, tag="lease"):
    """The answer to ``LeaseWanted(number)``."""

    number: int
    left_ms: int


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """Ends up to this number are the client's to report now."""

    number: int


Order: TypeAlias = Stop | Drop | GiveBack | Lease | Seen


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/clients/{client}/executions``: placements, oldest first. ``seen``: as ``Seen`` says it."""

    grants: tuple[Grant, ...]
    seen: int = 0


class Taken(msgspec.Struct, frozen=True):
    """The engine has the first ``taken`` of them; ``full``: why not the others."""

    engine: str
    taken: int
    full: str = ""


class Execution(msgspec.Struct, frozen=True):
    """``GET /v1/executions``: one that the engine has. ``client``: the first digits of its name; ``state``:
    asked-for, waiting or running.
    """

    job: str
    epoch: int
    client: str
    state: str


class Executions(msgspec.Struct, frozen=True):
    """``GET /v1/executions``."""

    executions: tuple[Execution, ...]
