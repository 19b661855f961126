"""What the API takes at most."""

from typing import Final

API_PORT: Final = 3020
MAX_BODY: Final = 8 << 20
"""Bytes of a JSON request body."""
MAX_JOBS_PER_REQUEST: Final = 10_000
MAX_MAIL_BODY: Final = (1 << 20) + (64 << 10)
"""Bytes of a request that sends a message or completes a promise: what it says, and who is meant."""
MAX_INPUT: Final = 1 << 20
"""Bytes of one job's input."""
MAX_WAIT_S: Final = 60.0
MAX_PAGE: Final = 1_000
"""Entries of the audit log in one answer."""
MAX_LINES: Final = 10_000
"""``limit`` and ``tail`` of a job's output."""
MAX_SCHEDULED_JOB: Final = 16 << 10
"""Bytes of the definition of a schedule's job, its input included."""
