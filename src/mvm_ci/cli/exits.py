"""Exit codes, and the one place where an error becomes a line on stderr and a code.

The codes are documented in ``docs/reference/exit-codes.md``; a test compares.
"""

import os
import sys
from typing import Final

import click

from mvm_ci.cli.confirm import Declined
from mvm_ci.config.processes import debug
from mvm_ci.domain import errors

OK: Final = 0
JOB_FAILED: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 3
REFUSED: Final = 4
NOT_FOUND: Final = 5
CONFLICT: Final = 6
NOT_ENOUGH: Final = 7
BUG: Final = 70
TIMED_OUT: Final = 124
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

_CODES: Final[tuple[tuple[type[errors.MvmCiError], int], ...]] = (
    (errors.BadInput, USAGE),
    (errors.Misconfigured, USAGE),
    (errors.Unavailable, UNAVAILABLE),
    (errors.ProtocolError, UNAVAILABLE),
    (errors.Refused, REFUSED),
    (errors.NotFound, NOT_FOUND),
    (errors.Conflict, CONFLICT),
)


class JobFailed(errors.MvmCiError):
    """The job did not end well: failed, cancelled, dead or paused."""

    code = "job-failed"


class WaitTimedOut(errors.MvmCiError):
    """The job had not ended when the time to wait for it was over."""

    code = "wait-timed-out"


def exit_code(error: BaseException) -> int:
    """The exit code of an error."""
    if isinstance(error, JobFailed):
        return JOB_FAILED
    if isinstance(error, WaitTimedOut):
        return TIMED_OUT
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort | Declined):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return PIPE_CLOSED
    return next((code for kind, code in _CODES if isinstance(error, kind)), BUG)


def report(error: BaseException) -> int:
    """Says on stderr what went wrong; returns the exit code."""
    code = exit_code(error)
    if code == PIPE_CLOSED:
        # Whoever read our output has left. Nothing more can be written, not even at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    elif code == INTERRUPTED and not isinstance(error, Declined):
        _say("interrupted")
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say(error.format_message())
    elif isinstance(error, click.UsageError):
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        _say(f"error: {error.format_message()}{where}")
    elif isinstance(error, click.ClickException):
        _say(f"error: {error.format_message()}")
    elif isinstance(error, errors.MvmCiError) and code != BUG:
        _say(f"error: {_one_line(str(error))}")
    else:
        _report_bug(error)
    return code


def _report_bug(error: BaseException) -> None:
    if debug(os.environ):
        import traceback

        traceback.print_exception(error)
        return
    what = _one_line(f"{type(error).__name__}: {error}")
    _say(f"error: unexpected {what}; this is a bug in mvm-ci. MVM_CI_DEBUG=1 shows the traceback.")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "no reason given"
