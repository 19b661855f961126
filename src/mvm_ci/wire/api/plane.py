"""The control plane itself."""

import msgspec


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/ticket``: where workers find the control plane."""

    ticket: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/status``: the control plane at a glance. ``jobs``: counts by state."""

    version: str
    started_ms: int
    jobs: dict[str, int]
    workers: int
    connected: int
    slots: int
    stale_refused: int
    """Reports and appends refused because their placement was over, since the start."""
