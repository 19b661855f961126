"""``mvm-ci run``."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.job.request import JobRequest, job_options
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import SubmitJob


@click.command()
@click.argument("job", type=click.Path(path_type=Path))
@job_options
@client_options
def run(
    *,
    job: Path,
    request: JobRequest,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Build a Python job, run it and print its result.

    JOB is a Python file, or a module that was built (.wasm). What the job writes goes to stderr, its result
    to stdout.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.job.entries import Entries
    from mvm_ci.cli.naming import pushed
    from mvm_ci.cli.options import credentials

    credentials(url, token_file)  # what is missing should be said before the build, not after
    data = _module_of(job)

    async def work(client: "ApiClient") -> None:
        module = pushed(await client.push_module(data))
        output.note(f"module {module.digest[:12]}")
        named = replace(module, name=module.name or job.stem)
        (spec,) = await Entries(client, request, named).jobs([{}])
        await _run(client, spec, as_json=as_json)

    ask(url, token_file, work)


async def _run(client: "ApiClient", spec: "SubmitJob", *, as_json: bool) -> None:
    from mvm_ci.cli import output
    from mvm_ci.cli.outcome import print_log, show_outcome
    from mvm_ci.client.waiting import ENDED

    (view,) = await client.submit([spec])
    output.note(f"job {view.id}")

    async def show_output() -> None:
        async for line in client.logs(view.id, wait=True):
            print_log(line, err=True)

    showing = asyncio.create_task(show_output())
    try:
        ended = await client.wait(view.id)
        if ended.state in ENDED:
            await showing
    except asyncio.CancelledError:
        output.note(f"job {view.id} goes on; stop it with: mvm-ci job cancel {view.id}")
        raise
    finally:
        # A paused job's output has no end yet.
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
    await show_outcome(client, ended, as_json=as_json)


def _module_of(job: Path) -> bytes:
    from mvm_ci.cli.building import build_job
    from mvm_ci.cli.naming import read_file

    if job.suffix == ".wasm":
        return read_file(job)
    with tempfile.TemporaryDirectory(prefix="mvm-ci-build-") as folder:
        return read_file(build_job(job, Path(folder) / "job.wasm").output)
