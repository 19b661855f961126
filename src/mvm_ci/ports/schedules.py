"""The schedules, each named within its namespace.

All writes are durable on return. A schedule is changed by compare and set on its ``revision``: who changes it
has read it before, and reads it again if somebody was faster. Errors of the store itself are ``Unavailable``.
Whoever writes a schedule has read the rules of its time zone (``cron.is_read``): its ``due_ms`` needs them.
"""

from typing import Protocol

from mvm_ci.domain.schedule import Schedule


class ScheduleStore(Protocol):
    """See the module's docstring. Times are Unix milliseconds."""

    async def add(self, schedule: Schedule) -> bool:
        """Stores a new schedule, as revision 1; False if there is one of that name."""
        ...

    async def replace(self, schedule: Schedule) -> bool:
        """Stores ``schedule``, with the next revision, over the stored one of the same revision.

        False, and nothing changes, if that has another revision or is gone.
        """
        ...

    async def remove(self, namespace: str, name: str) -> bool:
        """Removes a schedule; False if there is none."""
        ...

    async def get(self, namespace: str, name: str) -> Schedule | None:
        """One schedule."""
        ...

    async def page(self, namespace: str, after: str = "", limit: int = 100) -> list[Schedule]:
        """Up to ``limit`` schedules of a namespace whose name comes after ``after``, by name."""
        ...

    async def due(self, now_ms: int, limit: int) -> list[Schedule]:
        """Up to ``limit`` schedules of all namespaces with a ``due_ms`` of at most ``now_ms``, earliest
        first.
        """
        ...

    async def next_due(self) -> int | None:
        """The earliest ``due_ms`` of all; None if nothing is ever due."""
        ...

    async def modules(self) -> set[tuple[str, str]]:
        """The namespace of each schedule, and the module of its job as it is named there."""
        ...
