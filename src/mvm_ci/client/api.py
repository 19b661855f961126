"""One method for each route of the HTTP API."""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from mvm_ci.client.access import AccessMethods
from mvm_ci.client.events import EventRoutes
from mvm_ci.client.follow import Follower
from mvm_ci.client.problems import error_of
from mvm_ci.client.schedules import ScheduleRoutes
from mvm_ci.client.waiting import STANDING, until_ended
from mvm_ci.domain.errors import ProtocolError, Unavailable
from mvm_ci.wire import api

T = TypeVar("T")
_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 30.0
_PAGE: Final = 1000


class ApiClient(AccessMethods, ScheduleRoutes, EventRoutes):
    """Talks to one control plane. An async context manager; all errors are ``MvmCiError``.

    ``Unavailable``: nobody answers, or not in time; the others as the API's problem says. It repeats nothing
    on its own but following logs and waiting, which only read.
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
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
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

    # ------------------------------------------------------------ modules
    async def push_module(self, data: bytes, name: str = "") -> api.ModuleView:
        """Stores a module. One that is there is answered as it is."""
        params = {"name": name} if name else {}
        headers = {"content-type": "application/wasm"}
        answer = await self._send("POST", "/v1/modules", content=data, params=params, headers=headers)
        return self._decode(answer, api.ModuleView)

    async def modules(self, prefix: str = "") -> tuple[api.ModuleView, ...]:
        """Modules, newest first; ``prefix``: of the digest."""
        answer = await self._send("GET", "/v1/modules", params={"prefix": prefix} if prefix else {})
        return self._decode(answer, api.ModuleList).modules

    # ------------------------------------------------------------ jobs
    async def submit(self, jobs: Sequence[api.SubmitJob], wait_s: float = 0.0) -> tuple[api.JobView, ...]:
        """Submits all jobs or none. ``wait_s``: how long to wait for their ends (at most ``MAX_WAIT_S``)."""
        body = msgspec.json.encode(api.SubmitJobs(jobs=tuple(jobs), wait_s=min(wait_s, api.MAX_WAIT_S)))
        answer = await self._send("POST", "/v1/jobs", content=body, headers=_JSON, timeout=_waiting(wait_s))
        return self._decode(answer, api.Submitted).jobs

    async def jobs(
        self, *, states: Sequence[str] = (), limit: int = 100, cursor: str | None = None, prefix: str = ""
    ) -> api.JobList:
        """One page of jobs, newest first."""
        params: dict[str, Any] = {"limit": limit}
        if states:
            params["state"] = ",".join(states)
        if cursor:
            params["cursor"] = cursor
        if prefix:
            params["prefix"] = prefix
        return self._decode(await self._send("GET", "/v1/jobs", params=params), api.JobList)

    async def job(self, job: str, wait_s: float = 0.0) -> api.JobView:
        """One job; with ``wait_s`` once it has ended, or after so many seconds (at most ``MAX_WAIT_S``)."""
        params = {"wait_s": min(wait_s, api.MAX_WAIT_S)} if wait_s else {}
        answer = await self._send("GET", _job(job), params=params, timeout=_waiting(wait_s))
        return self._decode(answer, api.JobView)

    async def wait(self, job: str, timeout_s: float | None = None) -> api.JobView:
        """The job once it has ended or is paused, or as it is after ``timeout_s``. Sits out a restart."""
        return await until_ended(self.job, job, timeout_s)

    async def result(self, job: str) -> bytes:
        """The result's bytes. ``Conflict`` if there is none (yet)."""
        return (await self._send("GET", _job(job, "/result"))).content

    async def cancel(self, job: str) -> api.CancelView:
        """Asks for the end of a job."""
        return self._decode(await self._send("POST", _job(job, "/cancel")), api.CancelView)

    async def journal(
        self, job: str, *, attempt: int | None = None, first: int = 0, limit: int = _PAGE
    ) -> api.JournalView:
        """A part of the journal of an attempt (None: the present one)."""
        params: dict[str, Any] = {"from": first, "limit": limit}
        if attempt is not None:
            params["attempt"] = attempt
        return self._decode(await self._send("GET", _job(job, "/journal"), params=params), api.JournalView)

    def logs(self, job: str, *, wait: bool = False) -> AsyncIterator[api.LogLine]:
        """The output of a job, from its beginning; ``wait``: to its end, through lost connections."""
        follower = Follower(self._http, _job(job, "/logs"))

        async def ended() -> bool:
            return (await self.job(job)).state in STANDING

        return follower.to_the_end(ended) if wait else follower.present()

    # ------------------------------------------------------------ workers
    async def workers(self, labels: str = "") -> tuple[api.WorkerView, ...]:
        """All workers, or those with ``labels`` (with commas between them)."""
        answer = await self._send("GET", "/v1/workers", params={"label": labels} if labels else {})
        return self._decode(answer, api.WorkerList).workers

    async def drain_worker(self, worker: str, deadline_s: float | None = None) -> api.WorkerView:
        """Gives a worker nothing more; hands over what it still runs after ``deadline_s``."""
        params = {} if deadline_s is None else {"deadline_s": f"{deadline_s:g}"}
        answer = await self._send("POST", f"/v1/workers/{quote(worker, safe='')}/drain", params=params)
        return self._decode(answer, api.WorkerView)

    async def resume_worker(self, worker: str) -> api.WorkerView:
        """Gives a drained worker jobs again."""
        answer = await self._send("POST", f"/v1/workers/{quote(worker, safe='')}/resume")
        return self._decode(answer, api.WorkerView)

    async def forget_worker(self, worker: str) -> api.WorkerView:
        """Removes a worker that has no session."""
        answer = await self._send("DELETE", f"/v1/workers/{quote(worker, safe='')}")
        return self._decode(answer, api.WorkerView)

    async def revoke_worker(self, worker: str) -> api.WorkerView:
        """Refuses a worker's key from now on, for good."""
        answer = await self._send("POST", f"/v1/workers/{quote(worker, safe='')}/revoke")
        return self._decode(answer, api.WorkerView)

    # ------------------------------------------------------------ join tokens
    async def create_join_token(self, uses: int, ttl_s: int, name: str = "") -> api.JoinTokenView:
        """A new join token; the only answer with its secret."""
        body = msgspec.json.encode(api.CreateJoinToken(uses=uses, ttl_s=ttl_s, name=name))
        answer = await self._send("POST", "/v1/join-tokens", content=body, headers=_JSON)
        return self._decode(answer, api.JoinTokenView)

    async def remove_join_token(self, token: str) -> api.JoinTokenView:
        """Nobody can join with it any more."""
        answer = await self._send("DELETE", f"/v1/join-tokens/{quote(token, safe='')}")
        return self._decode(answer, api.JoinTokenView)

    async def join_tokens(self) -> tuple[api.JoinTokenView, ...]:
        """All join tokens, without their secrets."""
        return self._decode(await self._send("GET", "/v1/join-tokens"), api.JoinTokenList).tokens

    # ------------------------------------------------------------ the control plane
    async def ticket(self) -> str:
        """Where workers find the control plane."""
        return self._decode(await self._send("GET", "/v1/ticket"), api.Ticket).ticket

    async def status(self) -> api.Status:
        """The control plane at a glance."""
        return self._decode(await self._send("GET", "/v1/status"), api.Status)

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        try:
            answer = await self._http.request(method, path, **options)
        except httpx.TimeoutException:
            raise Unavailable(f"{self._url} does not answer in time; try again later") from None
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unavailable(f"cannot reach the control plane at {self._url}: {_reason(error)}") from None
        if answer.status_code >= 400:
            raise error_of(answer.status_code, answer.content, self._url)
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


_JSON: Final = {"content-type": "application/json"}


def _waiting(wait_s: float) -> httpx.Timeout:
    """Time for an answer that may take ``wait_s``."""
    return httpx.Timeout(_ANSWER_S + min(wait_s, api.MAX_WAIT_S), connect=_CONNECT_S)


def _job(job: str, below: str = "") -> str:
    return f"/v1/jobs/{quote(job, safe='')}{below}"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
