"""The entry point of every Python guest: runs the job's ``run(input)`` with JSON in and out.

Executed once while the guest is built (its imports are kept in the guest's memory image), then called for each run.
"""

import mvm_ci_files

mvm_ci_files.install()  # first: others keep the functions that it replaces

import errno
import io
import json
import sys
import traceback
import types

import mvm_ci_build
import mvm_ci_preload
import mvm_ci_settle
import mvm_ci_urllib
import wit_world
from componentize_py_types import Err
from mvm_ci import calls

mvm_ci_urllib.install()
calls.install()
for name, descriptor in (("stdout", 1), ("stderr", 2)):
    # The interpreter's own streams write each piece of a line by itself; here each line is one call of the host.
    binary = io.BufferedWriter(io.FileIO(descriptor, "wb", closefd=False))
    setattr(sys, name, io.TextIOWrapper(binary, "utf-8", "backslashreplace", newline="\n", line_buffering=True))
job = mvm_ci_preload.load(
    mvm_ci_build.JOB, mvm_ci_build.MODULES, mvm_ci_build.OPTIONAL, mvm_ci_build.SOURCES
)
# Only jobs that need it have it: the build knows which.
asyncio = sys.modules.get("asyncio")
if asyncio is not None:
    from mvm_ci import event_loop

    event_loop.install()
mvm_ci_files.keep(mvm_ci_build.DIRECTORIES, left_out="mvm_ci")


def _error(message, detail="", kind="error"):
    return Err(json.dumps({"message": message, "detail": detail, "kind": kind}))


def _flush():
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _describe(error):
    text = "".join(traceback.format_exception_only(error)).strip()
    if isinstance(error, OSError) and error.errno == errno.EIO:
        # All that the C library says if a write fails, and there is one reason for it.
        text += ": there is no more room for the job's files"
    # The first frame is this file's; before the job's own there may be those of the event loop.
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    own = trace
    while own is not None and own.tb_frame.f_code.co_filename.rpartition("/")[0].endswith(("/asyncio", "/mvm_ci")):
        own = own.tb_next
    trace = own or trace
    detail = "".join(traceback.format_exception(type(error), error, trace))
    return text, detail


class WitWorld(wit_world.WitWorld):
    """What componentize-py looks for."""

    def run(self, input: str) -> str:
        try:
            value = json.loads(input) if input.strip() else None
        except ValueError as error:
            raise _error(f"the input is not JSON: {error}") from None
        try:
            result = job.run(value)
            if isinstance(result, types.CoroutineType):
                result = asyncio.run(result)
        except SystemExit as error:
            raise _error(f"the job called sys.exit({error.code!r}); return a result instead") from None
        except MemoryError as error:
            del value
            raise _error("MemoryError: the job needs more memory than its limit", _describe(error)[1], "memory") from None
        except BaseException as error:
            raise _error(*_describe(error)) from None
        finally:
            _flush()
        try:
            return json.dumps(result, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise _error(f"the result of run() is not JSON: {error}") from None


class _NoJob:
    run = dict


def _run_without_job(given):
    global job
    kept, job = job, _NoJob
    WitWorld().run(given)
    job = kept


mvm_ci_settle.settle(_run_without_job)
