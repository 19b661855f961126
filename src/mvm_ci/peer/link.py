"""Keeps one session with the control plane, through lost connections, restarts and moves."""

import asyncio
import platform
from typing import Final

import structlog

from mvm_ci import __version__
from mvm_ci.domain.errors import BadInput, Misconfigured, ProtocolError, Refused, Unavailable
from mvm_ci.domain.grant import PeerRole
from mvm_ci.domain.ids import Incarnation
from mvm_ci.journal.entries import FORMAT_VERSION
from mvm_ci.peer.backoff import Backoff
from mvm_ci.peer.deadline import within
from mvm_ci.peer.holder import Holder
from mvm_ci.peer.intake import Intake
from mvm_ci.peer.lease import SessionLease
from mvm_ci.peer.session import NotNow, Session
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.peer.state import StateDirectory
from mvm_ci.peer.ticket import TicketSource
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.transport import Connection, Endpoint, Transport
from mvm_ci.wire import messages as m

DIAL_S: Final = (5.0, 5.0, 15.0)
"""For one dial, by turns: the longest back-off and a short one fit into the grace of a control plane that
restarts; and a slow network gets its chance, too.
"""
STABLE_MS: Final = 5_000
"""A session that stood for so long ends the back-off; else a peer that greets and hangs up would be
hammered.
"""
_WHOSE_TICKET: Final = "take the one that 'mvm-ci control-plane' prints, or writes to its --ticket-file"
REBUILD_AFTER: Final = 10
"""Failures in a row after which the endpoint is made anew: endpoints are known to get stuck after hours."""

log = structlog.get_logger()


class Link:
    """The worker's way to the control plane. ``run`` once; ``connection`` gives the present one.

    ``turns``: how often it has begun to connect.
    """

    def __init__(
        self,
        settings: PeerSettings,
        state: StateDirectory,
        *,
        transport: Transport,
        clock: Clock,
        lease: SessionLease,
        holdings: Holder,
        backoff: Backoff,
    ) -> None:
        self._settings = settings
        self._state = state
        self._transport = transport
        self._clock = clock
        self._lease = lease
        self._holdings = holdings
        self._backoff = backoff
        self._ticket = TicketSource(settings)
        self._endpoint: Endpoint | None = None
        self._connection: Connection | None = None
        self._beside: list[Connection] = []
        self._connected = asyncio.Event()
        self._open_since: int | None = None
        self.turns = 0
        self._remembering: asyncio.Task[None] | None = None

    @property
    def incarnation(self) -> Incarnation:
        """Names this process."""
        return self._state.incarnation

    async def bind(self) -> None:
        """Opens the endpoint. Raises ``Misconfigured``."""
        self._endpoint = await self._transport.bind(
            secret_key=self._state.key, address=self._settings.bind, alpns=[m.ALPN]
        )

    async def close(self) -> None:
        """Closes the connection and the endpoint."""
        if self._remembering is not None:
            await self._remembering
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.close()

    async def dial(self, protocol: bytes, timeout_s: float | None = None) -> Connection:
        """A connection of its own to the same control plane, for something else than the session that must
        stand: it waits for that, and then dials, for so long each. Raises ``Unavailable``.
        """
        limit_s = timeout_s or DIAL_S[0]
        try:
            async with asyncio.timeout(limit_s):
                await self.connection()
        except TimeoutError:
            raise Unavailable("there is no session with the control plane") from None
        if self._endpoint is None:
            raise Unavailable("the endpoint is being made anew")
        try:
            made = await self._endpoint.connect(await self._ticket.read(), limit_s, protocol)
        except BadInput as error:
            raise Unavailable(str(error)) from error
        self._beside = [one for one in self._beside if one.path() is not None]
        self._beside.append(made)
        return made

    async def connection(self) -> Connection:
        """The connection of the present session; waits for one."""
        while self._connection is None:
            self._connected.clear()
            await self._connected.wait()
        return self._connection

    async def run(self, intake: Intake) -> None:
        """Connects, and connects again. Ends only by an error that trying again cannot help.

        Raises ``Refused`` or ``Misconfigured``.
        """
        while True:
            self.turns += 1
            self._open_since = None
            try:
                await self._once(intake)
            except NotNow as error:
                log.warning("session_refused_for_now", reason=str(error))
            except (Unavailable, ProtocolError) as error:
                # A worker that leaves is hung up on: that is the end it asked for.
                tell = log.info if self._holdings.draining else log.warning
                event = "connection_lost" if self._was_open() else "not_connected"
                tell(event, error=str(error), lease_valid=self._lease.valid())
            if self._open_since is not None and self._clock.lease_ms() - self._open_since >= STABLE_MS:
                self._backoff.reset()
            wait_ms = self._backoff.next_ms()
            if self._backoff.failures % REBUILD_AFTER == 0:
                await self._rebuild()
            await self._clock.sleep(wait_ms)

    def _check_age(self, welcome: m.Welcome) -> None:
        if welcome.protocol < m.GRANTS and self._settings.role is not PeerRole.WORKER:
            raise Refused(
                f"the control plane is too old to have engines elsewhere (version {welcome.version}): "
                "upgrade it first"
            )

    def _was_open(self) -> bool:
        """Whether the last try came to a session."""
        return self._open_since is not None

    async def _remember(self) -> None:
        try:
            await asyncio.to_thread(self._state.remember)
        except OSError as error:
            # It costs a worker that is killed now a wait for its lease, not more.
            log.warning("incarnation_not_written", error=str(error))

    async def _once(self, intake: Intake) -> None:
        connection = await self._dial()
        code, reason = m.CLOSE_DONE, ""
        try:
            session = Session(connection, self._clock, self._lease, self._holdings)
            welcome = await session.greet(self._hello())
            self._check_age(welcome)
            log.info("session_open", session=welcome.session, kept=len(welcome.keep), version=welcome.version)
            self._open_since = self._clock.lease_ms()
            if self._remembering is None:
                # Beside the session: a disk that is slow must not cost the lease.
                self._remembering = asyncio.create_task(self._remember(), name="remember-incarnation")
            self._connection = connection
            self._connected.set()
            await session.run(intake)
        except ProtocolError as error:
            code, reason = m.CLOSE_PROTOCOL, str(error)
            raise
        except Unavailable as error:
            closed = connection.closed_by_peer()
            if closed is not None:
                raise Unavailable(
                    f"the control plane closed the connection: {closed[1]} ({closed[0]})"
                ) from error
            code, reason = m.CLOSE_SILENT, str(error)
            raise
        finally:
            self._connection = None
            await connection.close(code, reason)
            # Those beside it lead to the same process: a peer that died is noticed by its heartbeats alone.
            beside, self._beside = self._beside, []
            for other in beside:
                await other.close(m.CLOSE_SILENT, "the session's connection is over")

    async def _dial(self) -> Connection:
        if self._endpoint is None:
            try:
                await self.bind()
            except Misconfigured as error:
                # It could be bound at the start: whatever is in the way now may go away.
                raise Unavailable(str(error)) from error
        ticket = await self._ticket.read()
        endpoint = self._endpoint
        if endpoint is None:
            raise Unavailable("the worker is closing")
        try:
            timeout_s = DIAL_S[self._backoff.failures % len(DIAL_S)]
            dialling = endpoint.connect(ticket, timeout_s=timeout_s)
            return await within(self._clock, (timeout_s + 1) * 1000, dialling, "dialling")
        except BadInput as error:
            if self._ticket.fixed:
                raise Misconfigured(f"{error}; {_WHOSE_TICKET}") from error
            raise Unavailable(f"{self._ticket.file}: {error}; {_WHOSE_TICKET}") from error

    async def _rebuild(self) -> None:
        log.warning("endpoint_rebuilt", failures=self._backoff.failures)
        await self.close()

    def _hello(self) -> m.Hello:
        return m.Hello(
            oldest=m.OLDEST_PROTOCOL,
            newest=m.PROTOCOL,
            version=__version__,
            incarnation=self._state.incarnation,
            previous=self._state.previous,
            join_token=self._settings.join_token,
            name=self._settings.name,
            platform=f"{platform.system().lower()}-{platform.machine()}",
            slots=self._holdings.slots,
            journal_format=FORMAT_VERSION,
            running=self._holdings.all(),
            labels=dict(self._settings.labels),
            ephemeral=self._settings.ephemeral,
            previous_over=self._state.previous_over,
            role=self._settings.role,
            grants=self._holdings.grants(),
        )
