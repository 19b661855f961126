"""The client: one method for each route of the HTTP API."""

from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from mvm_ci.client.access import AccessMethods
from mvm_ci.client.artifacts import ArtifactCalls
from mvm_ci.client.calls import ANSWER_S, CONNECT_S
from mvm_ci.client.changes import ChangeCalls
from mvm_ci.client.events import EventCalls
from mvm_ci.client.jobs import JobCalls
from mvm_ci.client.mail import MailCalls
from mvm_ci.client.modules import ModuleCalls
from mvm_ci.client.plane import PlaneCalls
from mvm_ci.client.problems import error_of
from mvm_ci.client.queues import QueueCalls
from mvm_ci.client.schedules import ScheduleRoutes
from mvm_ci.client.secrets import SecretCalls
from mvm_ci.client.workers import WorkerCalls
from mvm_ci.domain.errors import ProtocolError, Unavailable

T = TypeVar("T")


class AsyncClient(
    JobCalls,
    ChangeCalls,
    EventCalls,
    ArtifactCalls,
    MailCalls,
    QueueCalls,
    ScheduleRoutes,
    ModuleCalls,
    SecretCalls,
    WorkerCalls,
    AccessMethods,
    PlaneCalls,
):
    """Talks to one control plane. An async context manager; all errors are ``MvmCiError``.

    ``Unavailable``: nobody answers, or not in time; the others as the API's problem says. It repeats nothing
    on its own but following logs, downloading and waiting, which only read.
    """

    def __init__(
        self,
        url: str,
        token: str,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        namespace: str | None = None,
    ) -> None:
        """``transport``: another way to the API than TCP; ``namespace``: in which to work, if the token is
        for more than one.
        """
        self._url = url
        self.namespace = namespace
        chosen = {"x-namespace": namespace} if namespace is not None else {}
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {token}", "accept": "application/json", **chosen},
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            transport=transport,
            # Proxies and .netrc of the environment would see the token or replace it.
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        try:
            answer = await self._http.request(method, path, **options)
        except httpx.TimeoutException:
            raise Unavailable(f"{self._url} does not answer in time; try again later") from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unavailable(f"cannot reach the control plane at {self._url}: {_reason(error)}") from None
        if answer.status_code >= 400:
            raise error_of(answer, answer.content, self._url)
        if answer.status_code >= 300:
            raise ProtocolError(
                f"{self._url} redirects elsewhere; give the address of the control plane itself"
            )
        return answer

    def _decode(self, answer: httpx.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(
                f"{self._url} answered {answer.request.method} {answer.request.url.path} in a way that this "
                f"version does not understand ({error}); is it a control plane of this version?"
            ) from None


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
