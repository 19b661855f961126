"""A web server for guests of a load test: answers after a time of a known distribution, and counts effects.

``python -m mvm_ci.loadtest.stub``: in a process of its own; prints its address, and ends with SIGTERM.

- ``POST /effect/JOB/NUMBER``: the effect ``NUMBER`` (00 to 99) of a job; done by the first request, which
  its idempotency key tells from others.
- ``GET /counts``: what came so far.
- All else is answered, and counted as a request.
"""

import argparse
import asyncio
import re
import signal
from typing import Final

import msgspec
import uvloop

from mvm_ci.domain.errors import MvmCiError
from mvm_ci.loadtest.delays import FORMS, Delays
from mvm_ci.serving.exchange import Exchange
from mvm_ci.serving.server import ApiServer

_EFFECT: Final = re.compile(r"/effect/([^/]{1,40})/(\d\d)")
_WIDTH: Final = 8
"""Bytes that are kept of a key."""
_NONE: Final = bytes(_WIDTH)
_MAX_BODY: Final = 1 << 20
_STOP_S: Final = 1.0
_MOST_PORT: Final = 65_535
_JSON: Final = b"application/json"
_TEXT: Final = b"text/plain"


class Counts(msgspec.Struct, kw_only=True):
    """``effects``: different ones that were done; ``repeated``: requests for one of them with the key of the
    first; ``doubled``: requests with another key: the effect was done once more.
    """

    requests: int = 0
    effects: int = 0
    repeated: int = 0
    doubled: int = 0


class Effects:
    """Which effects were done, with which keys: in some 200 bytes for a job of five: a soak has
    millions of them.
    """

    def __init__(self) -> None:
        self.counts = Counts()
        self._keys: dict[str, bytes] = {}
        """By job: of each of its effects, what is kept of the key of the first request."""

    def done(self, job: str, number: int, key: bytes) -> None:
        """A request for an effect."""
        kept = (hash(key) or 1).to_bytes(_WIDTH, "big", signed=True)
        of_job = self._keys.get(job, b"").ljust((number + 1) * _WIDTH, b"\0")
        at = number * _WIDTH
        before = of_job[at : at + _WIDTH]
        if before == _NONE:
            self.counts.effects += 1
            self._keys[job] = of_job[:at] + kept + of_job[at + _WIDTH :]
        elif before == kept:
            self.counts.repeated += 1
        else:
            self.counts.doubled += 1


class Stub:
    """The server. ``delays``: how long its answers take, from the moment that a request is whole."""

    def __init__(self, delays: Delays, host: str = "127.0.0.1", port: int = 0) -> None:
        self.effects = Effects()
        self._delays = delays
        self._server = ApiServer(self._answer, host, port, _STOP_S, what="the stub")

    @property
    def url(self) -> str:
        """Where it listens, once it does."""
        return self._server.url

    async def start(self) -> None:
        """Returns when it listens. Raises ``Misconfigured`` if it cannot."""
        await self._server.start()

    async def stop(self) -> None:
        """Ends it; requests under way have a second."""
        await self._server.stop()

    async def _answer(self, exchange: Exchange) -> None:
        await exchange.body(_MAX_BODY)
        if exchange.path == "/counts":
            exchange.reply(200, msgspec.json.encode(self.effects.counts), _JSON)
            return
        self.effects.counts.requests += 1
        key = exchange.headers.get(b"idempotency-key")
        effect = _EFFECT.fullmatch(exchange.path) if exchange.method == "POST" else None
        if effect is not None:
            # Counted when it comes: whoever asked may be gone before the answer leaves.
            if key is None:
                exchange.reply(400, b"an effect needs an idempotency key", _TEXT)
                return
            self.effects.done(effect[1], int(effect[2]), key)
        await asyncio.sleep(self._delays.next_s())
        exchange.reply(200, b"ok", _TEXT)


async def _serve(stub: Stub) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await stub.start()
    print(f"stub: {stub.url}", flush=True)  # noqa: T201 - whoever started it reads this
    await ended.wait()
    await stub.stop()


def main() -> None:
    """Runs until it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m mvm_ci.loadtest.stub")
    parser.add_argument("--bind", default="127.0.0.1:0", help="HOST:PORT to listen on")
    parser.add_argument("--latency", default="fixed:0ms", help=FORMS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    host, _, port = given.bind.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) <= _MOST_PORT):
        parser.error(f"{given.bind!r} is no HOST:PORT")
    try:
        stub = Stub(Delays(given.latency, given.seed), host.strip("[]"), int(port))
        uvloop.run(_serve(stub))
    except MvmCiError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
