"""Replaying one execution."""

from pathlib import Path

import click

from mvm_ci.cli import output
from mvm_ci.cli.outcome import print_log
from mvm_ci.cli.replay.builds import read_build
from mvm_ci.cli.replay.fetching import Fetcher
from mvm_ci.cli.replay.shown import agrees, as_fields, in_words
from mvm_ci.client import ApiClient
from mvm_ci.wire.api import LogLine
from mvm_ci.wiring.replay import Replays


async def replay_one(
    client: ApiClient,
    cache: Path,
    job: str,
    attempt: int | None,
    file: str | None,
    time_s: float | None,
    *,
    shows: bool,
    as_json: bool,
) -> bool:
    """Whether it agrees."""
    build = None if file is None else read_build(file)
    async with Replays(cache) as replays:
        fetcher = Fetcher(client, replays, time_s)
        recording = await fetcher.recording(job, attempt)
        replayed = await fetcher.replay(recording, build, _write if shows else None)
    if as_json:
        module = recording.job.module if build is None else build.digest
        of = {"job": job, "attempt": recording.job.attempt, "module": module}
        output.print_json({**of, **as_fields(replayed)})
    else:
        click.echo(f"{job}: {output.safe_line(in_words(replayed))}")
    return agrees(replayed)


def _write(stream: str, text: str) -> None:
    print_log(LogLine(attempt=0, index=0, at_ms=0, stream=stream, text=text), err=True)
