"""``mvm-ci replay``: one execution, or all that have not ended."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.job.selection import Selection, selection_options_without_module
from mvm_ci.cli.options import as_seconds, client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient


@click.command()
@click.argument("job", required=False)
@click.option(
    "--attempt", type=click.IntRange(1), metavar="N", help="Of which attempt.  [default: the present one]"
)
@click.option(
    "--module",
    "builds",
    multiple=True,
    metavar="[NAME=]FILE",
    help="Replay with this build (.wasm) instead of the job's own. With --all NAME=FILE: the jobs of that "
    "module in all its versions, and no others; may be repeated.",
)
@click.option("--output", "shows", is_flag=True, help="Show on stderr what the job wrote.")
@click.option("--all", "everything", is_flag=True, help="All jobs that have not ended, or that are selected.")
@click.option(
    "--time-limit",
    callback=as_seconds,
    metavar="DURATION",
    help="Longest time for one execution.  [default: the job's own]",
)
@selection_options_without_module
@client_options
@click.pass_context
def replay(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    *,
    job: str | None,
    attempt: int | None,
    builds: tuple[str, ...],
    shows: bool,
    everything: bool,
    time_limit: float | None,
    selection: Selection,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Run a job again from its journal, here, without effects.

    Says whether the module agrees with what is recorded, and what it would do next; with --module the same of
    another build. Exit code 1 if it does not agree, or that cannot be found out.
    """
    from mvm_ci.cli import exits
    from mvm_ci.cli.naming import find_job
    from mvm_ci.cli.options import source
    from mvm_ci.cli.replay.every import replay_all
    from mvm_ci.cli.replay.one import replay_one
    from mvm_ci.config.processes import replay_cache
    from mvm_ci.domain.errors import BadInput

    if (job is None) != everything:
        raise BadInput("which job? Give its id, or --all")
    if not everything and not selection.empty:
        raise BadInput("options that say which jobs go with --all")
    if everything and (attempt is not None or shows):
        raise BadInput("--attempt and --output are for one job")
    if not everything and len(builds) > 1:
        raise BadInput("--module: one job is replayed with one build")
    cache = replay_cache(source({}, "replay"))

    async def work(client: "ApiClient") -> bool:
        if job is None:
            return await replay_all(client, cache, selection, builds, time_limit, as_json=as_json)
        found = await find_job(client, job)
        build = builds[0] if builds else None
        return await replay_one(
            client, cache, found, attempt, build, time_limit, shows=shows, as_json=as_json
        )

    if not ask(url, token_file, work):
        ctx.exit(exits.JOB_FAILED)
