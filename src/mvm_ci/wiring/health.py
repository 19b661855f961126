"""A file that says that a process is well, for those who look after it and have no port to ask."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import structlog

from mvm_ci.domain.errors import Misconfigured

TOUCH_S: Final = 2.0
"""How long a change of health is not seen, at most; whoever looks allows for a few of these."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def showing_health(healthy: Callable[[], bool], file: Path | None) -> AsyncIterator[None]:
    """During the block ``file`` is touched while ``healthy()``, and gone when it is not; None: no file.

    The event loop does it: if that is stuck, the file grows old. Raises ``Misconfigured``.
    """
    if file is None:
        yield
        return
    await asyncio.to_thread(_remove, file)
    task = asyncio.create_task(_keep(healthy, file), name="health-file")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with suppress(Misconfigured):
            await asyncio.to_thread(_remove, file)


async def _keep(healthy: Callable[[], bool], file: Path) -> None:
    while True:
        try:
            await asyncio.to_thread(_touch if healthy() else _remove, file)
        except Misconfigured as error:
            _log.warning("health_file_not_written", error=str(error))  # and tried again
        await asyncio.sleep(TOUCH_S)


def _touch(file: Path) -> None:
    try:
        file.touch(mode=0o644)
    except OSError as error:
        raise Misconfigured(f"cannot write {file}: {error.strerror}") from None


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise Misconfigured(f"cannot write {file}: {error.strerror}") from None
