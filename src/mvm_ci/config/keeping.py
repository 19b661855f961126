"""The settings of what is kept, and for how long."""

from mvm_ci.config import parsers
from mvm_ci.config.setting import Setting

KEEP_AGE = Setting(
    "--keep-jobs-for",
    "MVM_CI_KEEP_JOBS_FOR",
    parsers.age,
    "30d",
    "How long a job is kept after its end; forever for no limit.",
    "AGE",
)
KEEP_COUNT = Setting(
    "--keep-jobs",
    "MVM_CI_KEEP_JOBS",
    parsers.count_limit,
    "1000000",
    "How many jobs that are over are kept, the newest; all for no limit.",
    "N",
)
KEEP_BYTES = Setting(
    "--keep-jobs-size",
    "MVM_CI_KEEP_JOBS_SIZE",
    parsers.size_limit,
    "all",
    "How much the kept jobs may hold in inputs, results, journals, artifacts, as 20GiB; all for no limit.",
    "SIZE",
)
KEEP_MODULES = Setting(
    "--keep-modules-for",
    "MVM_CI_KEEP_MODULES_FOR",
    parsers.age,
    "forever",
    "How long a module is kept after it was pushed if no kept job is of it; forever for no limit.",
    "AGE",
)
KEEP_EVENTS_AGE = Setting(
    "--keep-events-for",
    "MVM_CI_KEEP_EVENTS_FOR",
    parsers.age,
    "7d",
    "How long events are kept; forever for no limit.",
    "AGE",
)
KEEP_EVENTS = Setting(
    "--keep-events",
    "MVM_CI_KEEP_EVENTS",
    parsers.count_limit,
    "5000000",
    "How many events are kept, the newest; all for no limit.",
    "N",
)
KEEP_JOURNALS = Setting(
    "--keep-journals-for",
    "MVM_CI_KEEP_JOURNALS_FOR",
    parsers.age,
    "forever",
    "How long the journal and the logs of a job are kept after its end; forever: as long as the job.",
    "AGE",
)
KEEP_ARTIFACTS = Setting(
    "--keep-artifacts-for",
    "MVM_CI_KEEP_ARTIFACTS_FOR",
    parsers.age,
    "forever",
    "How long the artifacts that a job put are kept after its end; forever: as long as the job.",
    "AGE",
)
KEEP_KEYS = Setting(
    "--keep-keys-for",
    "MVM_CI_KEEP_KEYS_FOR",
    parsers.age,
    "30d",
    "How long an idempotency key is kept after its job's end; forever: as long as the job.",
    "AGE",
)
KEEP_AUDIT = Setting(
    "--keep-audit-for",
    "MVM_CI_KEEP_AUDIT_FOR",
    parsers.age,
    "365d",
    "How long entries of the audit log are kept; forever for no limit.",
    "AGE",
)
