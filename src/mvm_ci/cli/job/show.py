"""``mvm-ci job show``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ConcurrencySpec, JobView, ProgressView


@click.command()
@click.argument("job")
@client_options
def show(*, job: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Show one job."""
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_job

    async def work(client: "ApiClient") -> "JobView":
        return await client.job(await find_job(client, job))

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
        return
    output.print_fields(
        (
            ("id", view.id),
            ("state", view.state),
            ("name", view.name or None),
            ("module", view.module),
            ("worker", view.worker),
            *_options(view),
            ("parent", view.parent),
            ("progress", _progress(view.progress) if view.progress is not None else None),
            ("waits for", ", ".join(view.awaits) or None),
            ("attempt", _attempt(view)),
            ("placements", view.epoch),
            ("workers lost", view.losses or None),
            ("journal", f"{view.journal_length} entries"),
            ("created", output.when(view.created_ms)),
            ("started", output.when(view.started_ms)),
            ("wakes", output.when(view.wake_ms)),
            ("expires", output.when(view.expires_ms)),
            ("deadline", output.when(view.deadline_ms)),
            ("finished", output.when(view.finished_ms)),
            ("result", None if view.result_size is None else output.size(view.result_size)),
            ("failure", f"{view.failure.kind}: {view.failure.message}" if view.failure else None),
        )
    )
    if view.failure and view.failure.detail:
        click.echo(output.safe_text(view.failure.detail.rstrip()))


def _attempt(view: "JobView") -> str:
    of = f"{view.attempt - view.first_attempt + 1} of {view.max_attempts}"
    return of if view.first_attempt == 1 else f"{of} (execution {view.attempt})"


def _progress(said: "ProgressView") -> str:
    of = "" if said.total is None else f" of {said.total:g}"
    return f"{said.text} {'' if said.done is None else f'{said.done:g}'}{of}".strip()


def _options(view: "JobView") -> tuple[tuple[str, object], ...]:
    """How the queue treats it."""
    from mvm_ci.domain.labels import format_labels

    after = (f"{one.job} ({'must complete' if one.needs == 'success' else 'must end'})" for one in view.after)
    return (
        ("queue", f"{view.queue}, priority {view.priority}"),
        ("labels", format_labels(view.labels) or None),
        ("tags", ", ".join(view.tags) or None),
        ("metadata", ", ".join(f"{key}={value}" for key, value in view.metadata.items()) or None),
        ("after", ", ".join(after) or None),
        ("fairness key", view.fairness_key or None),
        ("concurrency", None if view.concurrency is None else _concurrency(view.concurrency)),
        ("idempotency key", view.idempotency_key),
        ("secrets", ", ".join(view.secrets) or None),
    )


def _concurrency(given: "ConcurrencySpec") -> str:
    limits = []
    if given.limit is not None:
        limits.append(f"{given.limit} at once")
    if given.starts is not None:
        limits.append(f"{given.starts} starts in {given.per_s:g} s")
    more = "" if given.excess == "wait" else f"; {given.excess}"
    return f"key {given.key}: {', '.join(limits)}{more}"
