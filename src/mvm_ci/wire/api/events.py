"""Events."""

import msgspec


class EventView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``GET /v1/events``: something happened. ``restarted`` and ``gap`` are of no job: events may be missing
    before them, so list anew what matters.
    """

    seq: int
    at_ms: int
    kind: str
    job: str | None = None
    state: str | None = None
    """The job's present one, which may be later than the event."""
    name: str = ""
    queue: str = ""
