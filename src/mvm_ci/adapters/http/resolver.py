"""The system's resolver. It may take half a minute for a name whose servers do not answer, and cannot be
interrupted: each look-up has a thread of its own, so that no name keeps another one waiting.
"""

import asyncio
import contextlib
import socket
import threading
from typing import Final

_LOOK_UPS: Final = 256
"""At once, those included that nobody waits for any more."""


class SystemResolver:
    """Call it with a host and a port: the addresses. Raises ``OSError`` and ``UnicodeError``."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_LOOK_UPS)

    async def __call__(self, host: str, port: int) -> list[str]:
        await self._room.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def done(found: list[str] | OSError | UnicodeError) -> None:
            self._room.release()
            if answer.done():
                return
            if isinstance(found, list):
                answer.set_result(found)
            else:
                answer.set_exception(found)

        def look_up() -> None:
            found: list[str] | OSError | UnicodeError
            try:
                entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                # dict: each address once, in the system's order of preference.
                found = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
            except (OSError, UnicodeError) as error:
                found = error
            with contextlib.suppress(RuntimeError):  # nobody is there any more
                loop.call_soon_threadsafe(done, found)

        try:
            threading.Thread(target=look_up, name="resolver", daemon=True).start()
        except RuntimeError as error:
            self._room.release()
            raise OSError(f"no thread to look it up: {error}") from error
        return await answer
