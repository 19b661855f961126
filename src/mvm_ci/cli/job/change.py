"""``mvm-ci job cancel``, ``pause``, ``resume``, ``retry`` and ``delete``: one command but for the verb."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from mvm_ci.cli import output
from mvm_ci.cli.confirm import confirm, yes_option
from mvm_ci.cli.connection import ask
from mvm_ci.cli.job.selection import Selection, selection_options
from mvm_ci.cli.naming import find_job
from mvm_ci.cli.options import client_options
from mvm_ci.domain.errors import BadInput, Conflict, NotFound
from mvm_ci.wire.api import ChangeView

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.client.changes import Which
    from mvm_ci.wire.api import BulkResult

_MEANING: Final = {
    "cancel": {"done": "cancelled", "stopping": "being stopped by its worker"},
    "pause": {"done": "paused", "stopping": "being stopped by its worker, then paused"},
    "resume": {"done": "goes on"},
    "retry": {"done": "tries again"},
    "delete": {"done": "deleted"},
}
_CHANGED: Final = frozenset({"done", "stopping"})


_MORE: Final = """JOB is a job's id or at least four characters of its beginning. Instead of ids, options say
which jobs: all that is given must hold. Exit code 6 if a job is in no state for it."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """``counts``: of all jobs; ``jobs``: the first ones; ``complete``: whether there are no more.

    ``state``: of a single job that was left as it is.
    """

    counts: Counter[str]
    jobs: tuple["ChangeView", ...]
    complete: bool = True
    state: str = ""


def _command(verb: str, about: str) -> click.Command:
    """``about``: the first line of its help."""

    @click.command(verb, help=f"{about}\n\n{_MORE}")
    @click.argument("jobs", nargs=-1, metavar="[JOB]...")
    @selection_options
    @click.option("--all", "everything", is_flag=True, help="All jobs that are in a state for it.")
    @click.option("--dry-run", is_flag=True, help="Only say which jobs these are.")
    @yes_option
    @client_options
    def command(
        *,
        jobs: tuple[str, ...],
        selection: Selection,
        everything: bool,
        dry_run: bool,
        yes: bool,
        url: str | None,
        token_file: str | None,
        as_json: bool,
    ) -> None:
        _check(jobs, selection, everything=everything)
        # Whoever is asked wants to know how many jobs a filter selects; named jobs are known.
        counting = dry_run or not (jobs or yes)

        async def look(client: "ApiClient") -> tuple["Which", _Outcome | None]:
            if jobs:
                which: Which = [await find_job(client, job) for job in jobs]
            else:
                which = await selection.find(client)
            return which, await _selected(client, verb, which) if counting else None

        which, selected = ask(url, token_file, look)
        if dry_run and selected is not None:
            _show(verb, selected, as_json=as_json)
            return
        if not jobs or verb == "delete":
            confirm(f"{verb} {_number(jobs, selected)}", yes=yes)
        done = ask(url, token_file, lambda client: _changed(client, verb, which))
        _show(verb, done, as_json=as_json)
        _check_outcome(verb, done, len(jobs))

    return command


cancel = _command("cancel", "Cancel jobs.")
pause = _command("pause", "Park jobs until they are resumed.")
resume = _command("resume", "Let paused jobs go on.")
retry = _command("retry", "Let failed, cancelled or dead jobs try again.")
delete = _command("delete", "Remove jobs that have ended, with their journals.")


def _check(jobs: tuple[str, ...], selection: Selection, *, everything: bool) -> None:
    if jobs and (everything or not selection.empty):
        raise BadInput("give either jobs, or options that say which jobs, not both")
    if everything and not selection.empty:
        raise BadInput("--all stands alone: the other options say which jobs")
    if not (jobs or everything) and selection.empty:
        raise BadInput("which jobs? Give their ids, options that say which, or --all")


async def _selected(client: "ApiClient", verb: str, which: "Which") -> _Outcome:
    found = await _bulk(client, verb, which, dry_run=True)
    return _Outcome(Counter(found.counts), found.jobs, found.complete)


async def _changed(client: "ApiClient", verb: str, which: "Which") -> _Outcome:
    if isinstance(which, list) and len(which) == 1:
        return await _changed_one(client, verb, which[0])
    counts: Counter[str] = Counter()
    jobs: tuple[ChangeView, ...] = ()
    while True:
        result = await _bulk(client, verb, which, dry_run=False)
        counts += Counter(result.counts)
        jobs = jobs or result.jobs
        # A round that changes nothing would select the same jobs again.
        if result.complete or not _CHANGED & result.counts.keys():
            return _Outcome(counts, jobs, result.complete)


async def _changed_one(client: "ApiClient", verb: str, job: str) -> _Outcome:
    """By the route of one job, whose error says what is wrong."""
    if verb == "cancel":
        change = (await client.cancel(job)).cancelled
    else:
        one = {"pause": client.pause, "resume": client.resume, "retry": client.retry, "delete": client.delete}
        change = (await one[verb](job)).change
    state = (await client.job(job)).state if change == "already" else ""
    return _Outcome(Counter([change]), (ChangeView(id=job, change=change),), state=state)


async def _bulk(client: "ApiClient", verb: str, which: "Which", *, dry_run: bool) -> "BulkResult":
    many = {
        "cancel": client.cancel_jobs,
        "pause": client.pause_jobs,
        "resume": client.resume_jobs,
        "retry": client.retry_jobs,
        "delete": client.delete_jobs,
    }
    return await many[verb](which, dry_run=dry_run)


def _show(verb: str, outcome: _Outcome, *, as_json: bool) -> None:
    if as_json:
        shown = [output.fields(job) for job in outcome.jobs]
        output.print_json({"counts": dict(outcome.counts), "jobs": shown, "complete": outcome.complete})
        return
    meanings = _MEANING[verb] | {"already": f"{outcome.state or verb} already; nothing changed"}
    for job in outcome.jobs:
        click.echo(f"{job.id}: {meanings.get(job.change, job.change)}")
    total = outcome.counts.total()
    if total > 1 or not total:
        parts = ", ".join(f"{count} {change}" for change, count in sorted(outcome.counts.items()))
        output.note((parts or "no jobs") + ("" if outcome.complete else ", and there are more"))


def _check_outcome(verb: str, outcome: _Outcome, named: int) -> None:
    refused = outcome.counts["refused"]
    if refused:
        raise Conflict(f"{refused} of the jobs stay as they are; {verb} one of them alone to see why")
    missing = named - outcome.counts.total()
    if missing > 0:
        raise NotFound(f"{missing} of the jobs are not there")


def _number(jobs: tuple[str, ...], selected: _Outcome | None) -> str:
    if selected is None:
        return f"{len(jobs)} job(s)" if jobs else "all jobs that are selected"
    more = "" if selected.complete else "more than "
    return f"{more}{selected.counts.total()} job(s)"
