# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/schedules.py: change that one.
"""The client's methods for schedules."""

from typing import Any, Final

import msgspec

from mvm_ci.client.blocking.calls import Calls, part
from mvm_ci.wire import api

_JSON: Final = {"content-type": "application/json"}


class ScheduleRoutes(Calls):
    """One method for each route of schedules."""

    def put_schedule(self, name: str, schedule: api.PutSchedule) -> api.ScheduleView:
        """Makes a schedule, or gives the one of this name a new definition."""
        body = msgspec.json.encode(schedule)
        answer = self._send("PUT", _path(name), content=body, headers=_JSON)
        return self._decode(answer, api.ScheduleView)

    def schedules(self, *, limit: int = 100, cursor: str | None = None) -> api.ScheduleList:
        """One page of schedules, by name."""
        params: dict[str, Any] = {"limit": limit}
        if cursor:
            params["cursor"] = cursor
        return self._decode(self._send("GET", "/v1/schedules", params=params), api.ScheduleList)

    def schedule(self, name: str) -> api.ScheduleView:
        """One schedule."""
        return self._decode(self._send("GET", _path(name)), api.ScheduleView)

    def delete_schedule(self, name: str) -> api.Removed:
        """Removes a schedule; its jobs go on."""
        return self._decode(self._send("DELETE", _path(name)), api.Removed)

    def pause_schedule(self, name: str) -> api.ScheduleView:
        """Lets a schedule fire no more."""
        return self._decode(self._send("POST", _path(name, "/pause")), api.ScheduleView)

    def resume_schedule(self, name: str) -> api.ScheduleView:
        """Lets a schedule fire again, from its next time on."""
        return self._decode(self._send("POST", _path(name, "/resume")), api.ScheduleView)

    def trigger_schedule(self, name: str) -> str:
        """Submits a schedule's job now; its id."""
        return self._decode(self._send("POST", _path(name, "/trigger")), api.Triggered).job

    def backfill_schedule(
        self, name: str, from_ms: int, to_ms: int, *, dry_run: bool = False
    ) -> api.Backfilled:
        """Submits a schedule's job for each of its times from ``from_ms`` on and before ``to_ms``."""
        body = msgspec.json.encode(api.Backfill(from_ms=from_ms, to_ms=to_ms, dry_run=dry_run))
        answer = self._send("POST", _path(name, "/backfill"), content=body, headers=_JSON)
        return self._decode(answer, api.Backfilled)

    def schedule_times(self, name: str, count: int) -> api.ScheduleTimes:
        """The next times of a schedule."""
        answer = self._send("GET", _path(name, "/next"), params={"count": count})
        return self._decode(answer, api.ScheduleTimes)


def _path(name: str, below: str = "") -> str:
    return f"/v1/schedules/{part(name)}{below}"
