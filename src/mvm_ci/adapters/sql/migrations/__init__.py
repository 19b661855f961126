"""The schema as the steps that led to it: file ``NNNN_what.sql`` leads from version NNNN - 1 to version NNNN.

A released step is never changed: what it made stands in the files of operators. A change is a new step.
"""

from importlib import resources
from typing import Final


def _load() -> tuple[str, ...]:
    files = sorted(
        (file for file in resources.files(__package__).iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    numbers = [int(file.name.partition("_")[0]) for file in files]
    if numbers != list(range(1, len(files) + 1)):
        raise ValueError(f"migrations are numbered 1, 2, 3 without a gap, not {numbers}")
    return tuple(file.read_text(encoding="utf-8") for file in files)


MIGRATIONS: Final = _load()
"""The scripts, in order: the first makes version 1 of nothing."""
