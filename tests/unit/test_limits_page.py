"""The page on limits says what the code holds."""

import re
from pathlib import Path

from mvm_ci.adapters.componentize import wheels
from mvm_ci.adapters.http import client, exchange, target
from mvm_ci.adapters.remote_engine.engine import CUT_OFF_MS
from mvm_ci.adapters.wasm import core_host, http_json
from mvm_ci.adapters.wasm.compiler import CompileLimits
from mvm_ci.adapters.wasm.component_host import MAX_RESOURCES
from mvm_ci.adapters.wasm.preview1_files import MAX_TRANSFER
from mvm_ci.control_plane import links, transfers
from mvm_ci.control_plane.api.changes import MOST
from mvm_ci.control_plane.settings import ControlPlaneSettings
from mvm_ci.domain import artifact, labels, module_names, secrets
from mvm_ci.domain.job import JobSpec
from mvm_ci.domain.mail import MAX_TOPICS, MAX_TYPE
from mvm_ci.domain.module import MAX_IMPORTS, MAX_MODULE_BYTES
from mvm_ci.domain.payload import INLINE_LIMIT
from mvm_ci.domain.quota import Quota
from mvm_ci.domain.schedule import MAX_CATCH_UP, MAX_JITTER_MS
from mvm_ci.domain.shown import MAX_TEXT
from mvm_ci.engine import crew
from mvm_ci.engine.live import MAX_GUESTS
from mvm_ci.engine.service import client as client_at_engine
from mvm_ci.engine.service import guests
from mvm_ci.files import paths
from mvm_ci.files.system import FileLimits
from mvm_ci.journal.codec import MAX_SEGMENT
from mvm_ci.journal.replay import MAX_OPEN
from mvm_ci.journal.steps import JournalLimits
from mvm_ci.lifecycle import (
    artifact_calls,
    family,
    host_calls,
    job_request,
    join_tokens,
    promises,
    recordings,
    report_checks,
)
from mvm_ci.lifecycle.events import MAX_LISTENERS
from mvm_ci.lifecycle.execute import ExecutionLimits
from mvm_ci.lifecycle.schedules import MAX_BACKFILL
from mvm_ci.lifecycle.sessions import REST_LEASES
from mvm_ci.peer import artifact_files, artifact_transfer
from mvm_ci.ports import mail
from mvm_ci.ports.guest import GuestLimits
from mvm_ci.serving import limits as http
from mvm_ci.serving import peer_caller
from mvm_ci.wire import api, messages
from mvm_ci.wire import engine as engine_api
from mvm_ci.wire.http import STREAMS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "limits.md"


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"


def _gib(size: int) -> str:
    return f"{size >> 30} GiB"


def _minutes(ms: int) -> str:
    return f"{ms // 60_000} min"


def _silence(say_ms: int) -> str:
    return f"{engine_api.SILENCES * say_ms // 1000} s"


def _quota(most: int | None) -> str:
    return "none" if most is None else f"{most:,}"


def _expected() -> dict[str, str]:
    plane = ControlPlaneSettings()
    spec = JobSpec.__struct_defaults__
    defaults = dict(zip(JobSpec.__struct_fields__[-len(spec) :], spec, strict=True))
    return {
        "module": _mib(MAX_MODULE_BYTES),
        "imports, or exports, of a module": f"{MAX_IMPORTS:,}",
        "files of a Python job and its packages": f"{wheels.MAX_FILES:,}",
        "bytes of a Python job and its packages, unpacked": _mib(wheels.MAX_BYTES),
        "compiling a module: time": f"{CompileLimits().seconds} s",
        "compiling a module: memory": _mib(CompileLimits().memory_bytes),
        "JSON body of a request": _mib(api.MAX_BODY),
        "body of a message or a kept promise, and what is said of it": f"{api.MAX_MAIL_BODY >> 10:,} KiB",
        "line and headers of a request": f"{http.MAX_HEAD >> 10} KiB",
        "time for a request's headers": f"{http.HEAD_S:g} s",
        "time for a request's body": f"{http.READ_S:g} s",
        "a caller that does not read its answer": f"{http.SEND_S:g} s",
        "time between two requests of a connection": f"{http.KEEP_ALIVE_S:g} s",
        "requests of a connection that wait in line": str(http.PIPELINED),
        "a caller that does not end its closed connection": f"{http.LINGER_S:g} s",
        "connections to the API": f"{http.MAX_CONNECTIONS:,}",
        "connections of peers that call the API by ticket": str(links.MAX_CALLERS),
        "of these, with one key": str(links.MAX_OF_PEER),
        "streams of such a connection at once": str(STREAMS),
        "what such a connection sends before somebody reads it": _mib(peer_caller.WINDOW),
        "such a connection without a stream": f"{peer_caller.IDLE_S:g} s",
        "jobs in one request": f"{api.MAX_JOBS_PER_REQUEST:,}",
        "input of a job": _mib(api.MAX_INPUT),
        "result of a job": _mib(GuestLimits().result_bytes),
        "memory of a guest": _mib(defaults["memory_bytes"]),
        "a guest's files: bytes, holes included": _mib(defaults["memory_bytes"]),
        "a guest's files: names of files, directories and links": f"{FileLimits().entries:,}",
        "a guest's files: open at once": f"{FileLimits().opens:,}",
        "a path of a guest, a name in it": f"{paths.MAX_PATH} bytes, {paths.MAX_NAME} bytes",
        "what a core module reads or writes in one call": _mib(MAX_TRANSFER),
        "open files, streams and the like of a component": f"{MAX_RESOURCES:,}",
        "run time of a placement": f"{defaults['timeout_ms'] // 60_000} min",
        "guests of a runner process, those that wait included": str(MAX_GUESTS),
        "sleep that is waited for in place": f"{ExecutionLimits().suspend_after_ms // 1000} s",
        "attempts of a job": str(job_request.MAX_ATTEMPTS),
        "time-outs and pauses of a job": f"{job_request.MAX_TIMEOUT_S / 86_400:.0f} days",
        "grace of a cancelled job": f"{job_request.MAX_GRACE_S / 3_600:g} h",
        "deadline of a job": f"{job_request.MAX_DEADLINE_S / 86_400:,.0f} days",
        "memory limit of a job": f"{job_request.MAX_MEMORY_MB} MiB",
        "labels of a job": str(labels.MAX_LABELS),
        "key or value of a label": f"{max(labels.MAX_KEY, labels.MAX_VALUE)} characters",
        "tags of a job": str(job_request.MAX_TAGS),
        "keys of a job's metadata": str(job_request.MAX_METADATA),
        "value in a job's metadata": f"{job_request.MAX_METADATA_VALUE:,} characters",
        "published name of a module": f"{module_names.MAX_NAME} characters",
        "version of a module": f"{module_names.MAX_VERSION} characters",
        "value of a secret": f"{secrets.MIN_CHARACTERS} characters to {secrets.MAX_BYTES >> 10} KiB",
        "name of a secret": f"{secrets.MAX_NAME} characters",
        "secrets of a job": str(secrets.MAX_OF_JOB),
        "modules that a secret allows": str(secrets.MAX_MODULES),
        "secrets of a namespace": f"{secrets.MAX_OF_NAMESPACE:,}",
        "name of a queue, a tag, any other key": f"{job_request.MAX_KEY} characters",
        "jobs that a job waits for": str(job_request.MAX_AFTER),
        "jobs of a concurrency key, and its starts": f"{job_request.MAX_CONCURRENCY:,}",
        "jobs that one request changes": f"{MOST:,}",
        "jobs that have not ended": f"{plane.max_jobs:,}",
        "jobs of a namespace that wait (`max_waiting`)": _quota(Quota().max_waiting),
        "jobs of a namespace at workers (`max_running`)": _quota(Quota().max_running),
        "stored inputs, results, artifacts and modules of a namespace (`max_bytes`)": _quota(
            Quota().max_bytes
        ),
        "free space on the disk of the state": _mib(plane.min_free_bytes),
        "losses of a job": str(plane.max_losses),
        "waiting for a job in one request": f"{api.MAX_WAIT_S:.0f} s",
        "entries of a journal": f"{JournalLimits().entries:,}",
        "bytes of a journal": _mib(JournalLimits().bytes),
        "output of an execution": _mib(JournalLimits().log_bytes),
        "`limit` and `tail` of a job's output or journal": f"{api.MAX_LINES:,}",
        "recordings, modules and payloads that are taken away at once": str(recordings.AT_ONCE),
        "payload inside an entry or a row": f"{INLINE_LIMIT >> 10} KiB",
        "segment of a journal": f"{MAX_SEGMENT >> 10} KiB",
        "one write of a guest to its output": _mib(core_host.MAX_LOG_BYTES),
        "named values that a guest computes at once": f"{MAX_OPEN:,}",
        "argument of a guest's call by name": _mib(http_json.MAX_CALL_BYTES),
        "document of a guest's HTTP request": _mib(http_json.MAX_REQUEST_BYTES),
        "headers in the document of a guest's HTTP request": f"{http_json.MAX_HEADERS_BYTES >> 10} KiB",
        "pieces of a guest's HTTP answer": f"{exchange.MAX_PIECES:,}",
        "body of a guest's HTTP request": _mib(target.MAX_REQUEST_BODY),
        "headers of a guest's HTTP request": (
            f"{target.MAX_HEADERS}, of {target.MAX_HEADER_BYTES >> 10} KiB in all"
        ),
        "URL of a guest's HTTP request": f"{target.MAX_URL >> 10} KiB",
        "body of a guest's HTTP answer": _mib(exchange.MAX_BODY),
        "guests' HTTP requests that are under way in a worker": str(client.MAX_REQUESTS),
        "time of a guest's HTTP request": f"{client.MAX_TIMEOUT_MS // 1000} s",
        "redirects of a guest's HTTP request": str(client.MAX_REDIRECTS),
        "body of a guest's HTTP request or answer that is an artifact": _gib(artifact.MAX_ARTIFACT),
        "time of a guest's HTTP request to or from an artifact": _minutes(client.MAX_LARGE_TIMEOUT_MS),
        "artifact, upload": _gib(artifact.MAX_ARTIFACT),
        "artifacts of a job, its inputs included": f"{artifact.MAX_ARTIFACTS:,}",
        "artifacts that a job is given": str(artifact.MAX_INPUTS),
        "name of an artifact": f"{artifact.MAX_NAME} characters",
        "part of an artifact's name between slashes": f"{artifact.MAX_PART} bytes",
        "media type of an artifact": f"{artifact.MAX_MEDIA} characters",
        "artifacts that a guest puts at once": str(artifact_calls.MAX_OPEN),
        "piece of an artifact that a guest writes or reads at once": _mib(artifact.MAX_PIECE),
        "artifacts on their way to or from a worker": str(artifact_files.AT_ONCE),
        "artifacts on their way to or from all workers": str(transfers.LARGE_AT_ONCE),
        "an artifact on its way of which nothing comes": f"{artifact_transfer.IDLE_MS // 1000} s",
        "free space that artifacts leave on a worker's disk": _mib(artifact_files.KEEP_FREE),
        "frame between worker and control plane": _mib(messages.MAX_FRAME),
        "entries of a journal that a worker reports": f"{report_checks.MAX_ENTRIES:,}",
        "texts of a failure that a worker reports": f"{report_checks.MAX_FAILURE:,} characters",
        "children that one call starts": f"{family.MAX_AT_ONCE:,}",
        "messages that wait for a job": f"{mail.MAX_WAITING:,}",
        "topics of one wait": f"{MAX_TOPICS:,}",
        "type of a message": f"{MAX_TYPE} characters",
        "body of a message, value of a promise": _mib(api.MAX_INPUT),
        "argument of a call that goes to the control plane": _mib(host_calls.MAX_ASKED),
        "label of a promise": f"{promises.MAX_LABEL} characters",
        "text of a job's progress": f"{MAX_TEXT} characters",
        "labels of a worker": f"{labels.MAX_LABELS}, of {labels.MAX_KEY} characters each side",
        "uses of a join token": f"{join_tokens.MAX_USES:,}",
        "life of a join token": f"{join_tokens.MAX_TTL_S // 86_400} days",
        "a runner that has work and does not answer": f"{crew.HANG_S:.0f} s",
        "a job that its worker does not start": f"{plane.stall_ms // 60_000} min",
        "job of a schedule": f"{api.MAX_SCHEDULED_JOB >> 10} KiB",
        "jitter of a schedule": f"{MAX_JITTER_MS // 3_600_000} h",
        "missed fires made up for": str(MAX_CATCH_UP),
        "times of a backfill": f"{MAX_BACKFILL:,}",
        "streams of events": str(MAX_LISTENERS),
        "lease of a worker's session": f"{plane.lease_ms // 1000} s",
        "rest of a worker that holds nothing, between two heartbeats": f"{REST_LEASES} leases",
        "workers of an engine that serves them": f"{guests.MAX_CLIENTS:,}",
        "grants in one request to an engine": f"{engine_api.MAX_GRANTS:,}",
        "body of a request to an engine": _mib(engine_api.MAX_ORDERS),
        "ends at an engine that their worker has not seen": f"{client_at_engine.MAX_UNSEEN:,}",
        "silence of a worker whose lease is over, at its engine": f"{guests.FORGET_MS // 1000} s",
        "silence of an engine": _silence(engine_api.SAY_MS),
        "silence of an engine that has something of the worker's": _silence(engine_api.SAY_BUSY_MS),
        "an engine without the control plane, while its worker has it": f"{CUT_OFF_MS // 1000} s",
    }


def test_every_limit_is_on_the_page_as_the_code_has_it() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)
    written = {name.strip(): value.strip() for name, value in rows if not set(value) <= {"-", " "}}
    written.pop("what")

    assert written == _expected()
