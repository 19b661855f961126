# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/follow.py: change that one.
"""Following a job's output, or its journal: reconnects, and goes on after the last line that was seen."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import httpx
import msgspec
from msgspec.structs import asdict

from mvm_ci.client.blocking.calls import CONNECT_S
from mvm_ci.client.blocking.patience import SILENCE_S, Patience
from mvm_ci.client.problems import error_of
from mvm_ci.domain.errors import ProtocolError, Unavailable
from mvm_ci.wire.api import JournalEntry, LogLine, LogRange

Line = TypeVar("Line", LogLine, JournalEntry)


class Follower(Generic[Line]):
    """Reads ``which`` part of what is at ``path`` once, line by line; remembers where it is."""

    def __init__(self, http: httpx.Client, path: str, which: LogRange, kind: type[Line]) -> None:
        self._http = http
        self._path = path
        self._decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(kind)
        self._which = _query(which)
        self._seen = (0, -1)
        self._patience = Patience(http.base_url)

    def present(self) -> Iterator[Line]:
        """What there is now. Raises ``Unavailable`` and what the API answers."""
        try:
            yield from self._read(follow=False)
        except httpx.TransportError as error:
            raise self._patience.over(error) from None

    def to_the_end(self, ended: Callable[[], bool]) -> Iterator[Line]:
        """Everything until the job has ``ended``. Raises ``Unavailable`` when the connection stays lost."""
        while True:
            try:
                for line in self._read(follow=True):
                    yield line
                # The stream also ends when the control plane stops: only the job tells, and what it wrote
                # in between is read without following.
                if ended():
                    for line in self._read(follow=False):
                        yield line
                    return
            except (httpx.TransportError, Unavailable) as error:
                self._patience.lost(error)
            self._patience.pause()

    def _read(self, *, follow: bool) -> Iterator[Line]:
        attempt, index = self._seen
        params = {"attempt": attempt, "from": index + 1} if attempt else dict(self._which)
        if follow:
            params["follow"] = 1
        timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
        with self._http.stream("GET", self._path, params=params, timeout=timeout) as answer:
            if answer.status_code >= 400:
                raise error_of(answer, answer.read(), str(self._http.base_url))
            for text in answer.iter_lines():
                self._patience.rewarded()
                line = self._line(text) if text else None
                if line is not None and (line.attempt, line.index) > self._seen:
                    self._seen = (line.attempt, line.index)
                    yield line

    def _line(self, text: str) -> Line:
        try:
            return self._decoder.decode(text)
        except msgspec.DecodeError as error:
            raise ProtocolError(f"a line that this version does not understand: {error}") from None


def _query(which: LogRange) -> dict[str, int]:
    given = {"from" if name == "first" else name: value for name, value in asdict(which).items()}
    return {name: value for name, value in given.items() if value is not None}
