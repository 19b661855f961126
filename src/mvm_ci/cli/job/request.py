"""The options that describe a job: ``job submit``, ``run`` and ``schedule create`` share them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from mvm_ci.cli.gathered import Command, gathered
from mvm_ci.cli.options import as_seconds
from mvm_ci.cli.pairs import as_artifacts, as_labels, as_metadata
from mvm_ci.cli.times import as_unix_ms

if TYPE_CHECKING:
    from mvm_ci.wire.api import AfterSpec, BackoffSpec, ConcurrencySpec, SubmitJob

_NONE: Final[Mapping[str, str]] = {}
_RATE: Final = re.compile(r"([1-9][0-9]{0,6})/(.+)")


@dataclass(frozen=True, slots=True)
class JobRequest:
    """``spec``: without its module and name, and after jobs as they were typed. ``name`` None: the
    module's. ``artifacts``: files, or ``sha256:DIGEST``, by the names that the job knows them by.
    """

    spec: "SubmitJob"
    name: str | None
    artifacts: Mapping[str, str] = field(default_factory=dict)


def _as_rate(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, float] | None:
    """``10/1m``: 10 starts in 60 seconds."""
    from mvm_ci.config.parsers import positive_duration

    if value is None:
        return None
    match = _RATE.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not N/DURATION such as 10/1m", ctx, param)
    try:
        return int(match[1]), positive_duration(match[2])
    except ValueError as error:
        raise click.BadParameter(f"{match[2]!r} {error}", ctx, param) from None


def _as_after(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> "tuple[AfterSpec, ...]":
    from mvm_ci.wire.api import AfterSpec

    found = []
    for text in values:
        job, colon, needs = text.partition(":")
        if colon and needs not in {"end", "success"}:
            raise click.BadParameter(f"{text!r} is not JOB, JOB:success or JOB:end", ctx, param)
        found.append(AfterSpec(job=job, needs=needs or "success"))
    return tuple(found)


def _as_names(
    _ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...] | None:
    """None: those of the module's manifest."""
    return values or None


_JOB: Final = (
    click.option(
        "--input",
        "input_text",
        default="null",
        metavar="JSON|@FILE|-",
        help="The job's input.  [default: null]",
    ),
    click.option(
        "--allow-host", "hosts", multiple=True, metavar="HOST", help="Host that it may call; may be repeated."
    ),
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        callback=_as_names,
        metavar="NAME",
        help="Secret that it may read; may be repeated.  [default: those that the module asks for]",
    ),
    click.option(
        "--time-limit",
        default="1h",
        callback=as_seconds,
        metavar="DURATION",
        help="For one try.  [default: 1h]",
    ),
    click.option(
        "--memory",
        type=click.IntRange(1, 4096),
        default=256,
        show_default=True,
        metavar="MIB",
        help="Its memory limit.",
    ),
    click.option(
        "--cancel-grace",
        callback=as_seconds,
        metavar="DURATION",
        help="To clean up in once it is cancelled.  [default: none, it is stopped at once]",
    ),
    click.option(
        "--durability",
        type=click.Choice(["journaled", "none"]),
        default="journaled",
        show_default=True,
        help="Whether it goes on after the loss of its worker, or begins again.",
    ),
    click.option(
        "--queue", default="default", show_default=True, metavar="NAME", help="The queue it waits in."
    ),
    click.option(
        "--priority", type=click.IntRange(0, 9), default=5, show_default=True, help="Higher goes first."
    ),
    click.option(
        "--label",
        "labels",
        multiple=True,
        callback=as_labels,
        metavar="KEY[=VALUE]",
        help="Label that its worker must have; may be repeated.",
    ),
    click.option(
        "--start-within",
        callback=as_seconds,
        metavar="DURATION",
        help="Fail it if no worker takes it in this time.",
    ),
    click.option(
        "--deadline",
        "deadline_s",
        callback=as_seconds,
        metavar="DURATION",
        help="Fail it if it has not ended in this time, whatever it waits for.",
    ),
    click.option(
        "--max-attempts", type=click.IntRange(1, 100), default=1, show_default=True, help="Tries if it fails."
    ),
    click.option("--tag", "tags", multiple=True, metavar="TAG", help="Word to find it by; may be repeated."),
    click.option(
        "--meta",
        "metadata",
        multiple=True,
        callback=as_metadata,
        metavar="KEY=VALUE",
        help="Metadata to find it by; may be repeated.",
    ),
    click.option(
        "--fairness-key",
        default="",
        metavar="KEY",
        help="Jobs take turns by this key, a tenant's name for instance.",
    ),
)
_ONCE: Final = (
    click.option("--name", help="A name to recognise it by.  [default: the module's]"),
    click.option(
        "--run-at",
        callback=as_unix_ms,
        metavar="TIME",
        help="Not before: 2030-01-31T18:00:00Z, or +90m from now.",
    ),
    click.option(
        "--after",
        multiple=True,
        callback=_as_after,
        metavar="JOB[:end]",
        help="Start when this job has completed (with :end, ended); may be repeated.",
    ),
    click.option(
        "--artifact",
        "artifacts",
        multiple=True,
        callback=as_artifacts,
        metavar="NAME=FILE",
        help="File that it can read under this name, uploaded if need be, or NAME=sha256:DIGEST; may be "
        "repeated.",
    ),
    click.option(
        "--idempotency-key", metavar="KEY", help="The same key and job again: the same job, not another."
    ),
)
"""Of a job that is submitted once."""
_TEMPLATE: Final = (
    click.option("--job-name", "name", metavar="NAME", help="Of the jobs.  [default: the schedule's]"),
)
"""Of jobs that are submitted again and again: each has a time and a key of its own."""
_PAUSES: Final = (
    click.option(
        "--backoff",
        default="1s",
        callback=as_seconds,
        metavar="DURATION",
        help="Pause after the first try.  [default: 1s]",
    ),
    click.option(
        "--backoff-factor",
        type=click.FloatRange(1, 100),
        default=2.0,
        show_default=True,
        help="How much longer each pause is.",
    ),
    click.option(
        "--backoff-longest",
        default="5m",
        callback=as_seconds,
        metavar="DURATION",
        help="No pause is longer.  [default: 5m]",
    ),
    click.option(
        "--retry-on",
        multiple=True,
        metavar="KIND",
        help="Kind of failure to retry; may be repeated.  [default: all]",
    ),
)
_TURNS: Final = (
    click.option(
        "--concurrency-key",
        metavar="KEY",
        help="Jobs of one key run one at a time, or as the next options say.",
    ),
    click.option(
        "--concurrency-limit",
        type=click.IntRange(1),
        metavar="N",
        help="So many of its key at once.  [default: 1, without --rate]",
    ),
    click.option(
        "--rate", callback=_as_rate, metavar="N/DURATION", help="At most N of its key start in this time."
    ),
    click.option(
        "--excess",
        type=click.Choice(["wait", "cancel-older"]),
        default="wait",
        show_default=True,
        help="What becomes of more jobs of its key.",
    ),
)


def _request(  # noqa: PLR0913 - an option each
    *,
    input_text: str,
    name: str | None,
    hosts: tuple[str, ...],
    time_limit: float,
    memory: int,
    cancel_grace: float | None,
    start_within: float | None,
    run_at: int | None = None,
    after: "tuple[AfterSpec, ...]" = (),
    artifacts: Mapping[str, str] = _NONE,
    **of_the_same_name: Any,  # noqa: ANN401 - fields of SubmitJob
) -> JobRequest:
    from mvm_ci.cli.inputs import read_input
    from mvm_ci.wire.api import SubmitJob

    spec = SubmitJob(
        module="",
        input=read_input(input_text),
        allow_hosts=hosts or None,
        timeout_s=time_limit,
        memory_mb=memory,
        cancel_grace_s=cancel_grace,
        run_at_ms=run_at,
        start_within_s=start_within,
        after=after,
        **of_the_same_name,
    )
    return JobRequest(spec, name, artifacts)


def _backoff(
    *, backoff: float, backoff_factor: float, backoff_longest: float, retry_on: tuple[str, ...]
) -> "BackoffSpec":
    from mvm_ci.wire.api import BackoffSpec

    return BackoffSpec(base_s=backoff, longest_s=backoff_longest, factor=backoff_factor, kinds=retry_on)


def _concurrency(
    *,
    concurrency_key: str | None,
    concurrency_limit: int | None,
    rate: tuple[int, float] | None,
    excess: str,
) -> "ConcurrencySpec | None":
    from mvm_ci.domain.errors import BadInput
    from mvm_ci.wire.api import ConcurrencySpec

    if concurrency_key is None:
        if concurrency_limit is not None or rate is not None or excess != "wait":
            raise BadInput(
                "--concurrency-limit, --rate and --excess are of a key: give --concurrency-key, too"
            )
        return None
    starts, per_s = rate or (None, 1.0)
    limit = 1 if concurrency_limit is None and rate is None else concurrency_limit
    return ConcurrencySpec(key=concurrency_key, limit=limit, starts=starts, per_s=per_s, excess=excess)


def job_options(command: Command) -> Command:
    """All that describes a job; the command gets ``request``, a ``JobRequest``."""
    return _options(command, (*_ONCE, *_JOB))


def template_options(command: Command) -> Command:
    """All that describes the jobs of a schedule, likewise."""
    return _options(command, (*_TEMPLATE, *_JOB))


def _options(command: Command, options: Sequence[Callable[[Any], Any]]) -> Command:
    command = gathered("request", options, _request, takes=("backoff", "concurrency"))(command)
    command = gathered("concurrency", _TURNS, _concurrency)(command)
    return gathered("backoff", _PAUSES, _backoff)(command)
