"""The table of all routes but ``/openapi.json``, which is made of them."""

from typing import Final

from mvm_ci.control_plane.api.tables import (
    access,
    artifacts,
    events,
    jobs,
    mail,
    modules,
    plane,
    replays,
    schedules,
    secrets,
    workers,
)

ROUTES: Final = (
    *jobs.ROUTES,
    *artifacts.ROUTES,
    *replays.ROUTES,
    *events.ROUTES,
    *mail.ROUTES,
    *modules.ROUTES,
    *schedules.ROUTES,
    *secrets.ROUTES,
    *workers.ROUTES,
    *plane.ROUTES,
    *access.ROUTES,
)
