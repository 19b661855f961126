"""What holds jobs back."""

import msgspec


class LimitView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A concurrency key, as the job that came last named it: at most ``limit`` jobs at once, at most
    ``starts`` in ``per_s`` seconds.

    ``running``: jobs that hold a slot, those that sleep or are paused, too; ``waiting``: whether jobs of it
    are ready; ``next_ms``: when the rate lets the next one begin, if that is what they wait for.
    """

    key: str
    running: int
    waiting: bool
    limit: int | None = None
    starts: int | None = None
    per_s: float | None = None
    next_ms: int | None = None


class LimitList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``GET /v1/limits``. ``running``: jobs that workers have, if the quota limits them (``max_running``)."""

    keys: tuple[LimitView, ...]
    running: int | None = None
    max_running: int | None = None
