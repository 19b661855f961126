"""Commands for the shell of whoever runs this program."""

import asyncio
import os
import signal
from typing import Final

from mvm_ci.domain.errors import Unavailable

NAME, ID = "MVM_CI_WORKER", "MVM_CI_WORKER_ID"
"""The variables of the command's environment that name the worker."""
LIMIT_S: Final = 60.0
_SAID: Final = 500


async def kill_worker(command: str, *, name: str, worker: str) -> None:
    """Runs ``command``, which kills the worker of that name and id: its environment says which.

    Raises ``Unavailable`` if it fails, or does not end in time; then it is killed, with what it started.
    """
    process = await asyncio.create_subprocess_shell(
        command,
        env={**os.environ, NAME: name, ID: worker},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        raise Unavailable(f"the command that kills {name} has not ended within {LIMIT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        text = output.decode(errors="replace").strip()[:_SAID] or "nothing"
        raise Unavailable(f"the command that kills {name} ended with {process.returncode}, and said: {text}")
