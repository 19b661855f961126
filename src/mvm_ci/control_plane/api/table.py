"""The table of all routes but ``/openapi.json``, which is made of them."""

from typing import Final

from mvm_ci.control_plane.api.tables import access, events, jobs, modules, plane, replays, schedules, workers

ROUTES: Final = (
    *jobs.ROUTES,
    *replays.ROUTES,
    *events.ROUTES,
    *modules.ROUTES,
    *schedules.ROUTES,
    *workers.ROUTES,
    *plane.ROUTES,
    *access.ROUTES,
)
