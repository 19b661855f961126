"""The audit log's one writer: who did what through the API, and who was refused."""

import re
from collections import Counter
from typing import Final

import structlog

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.domain.errors import MvmCiError
from mvm_ci.ports.access import Access, AuditEntry
from mvm_ci.ports.clock import Clock

log = structlog.get_logger(__name__)

DONE: Final = "done"
_LONGEST: Final = 200
_SECRET: Final = re.compile(r"mvm_(api|join)_[\w-]*")


class AuditTrail:
    """Writes entries. A failure to write is logged and changes no answer: what was done is done.

    ``entries``: how many there were to write, by outcome.
    """

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self.entries: Counter[str] = Counter({DONE: 0})

    async def record(self, request: Request, outcome: str) -> None:
        """Returns when the entry is durable, or could not be written."""
        try:
            await self._access.record(self._entry(request, outcome))
        except MvmCiError as error:
            log.error("access_not_recorded", action=request.action, error=str(error))  # noqa: TRY400 (ours)

    def record_soon(self, request: Request, outcome: str = DONE) -> None:
        """Returns at once: for what happens often. The entry goes with the store's next commit."""
        request.recorded = True
        self._access.record_soon(self._entry(request, outcome))

    def _entry(self, request: Request, outcome: str) -> AuditEntry:
        self.entries[outcome] += 1
        target = request.target
        if "mvm_" in target:  # a secret where an id belongs
            target = _SECRET.sub(r"mvm_\1_...", target)
        return AuditEntry(
            at_ms=self._clock.now_ms(),
            token=request.caller.id,
            name=request.caller.name,
            address=request.address,
            namespace=request.namespace,
            action=request.action,
            target=target[:_LONGEST],
            outcome=outcome,
        )
