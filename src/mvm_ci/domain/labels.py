"""Labels: what a worker says of itself, and what a job asks of the worker that runs it."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

MAX_LABELS: Final = 32
"""Labels of one worker, or of one job."""
MAX_KEY: Final = 63
MAX_VALUE: Final = 63
_KEY: Final = re.compile(r"[a-z0-9](?:[a-z0-9._/-]*[a-z0-9])?")
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?)?")


def parse_label(text: str) -> tuple[str, str]:
    """Key and value of ``key`` (then the value is empty) or ``key=value``. Raises ``ValueError`` with the
    end of a sentence.
    """
    key, _, value = text.strip().partition("=")
    check_label(key, value)
    return key, value


def parse_labels(texts: Iterable[str]) -> dict[str, str]:
    """Labels by their keys, each given once. Raises ``ValueError`` with the end of a sentence."""
    labels: dict[str, str] = {}
    for text in texts:
        key, value = parse_label(text)
        if key in labels:
            raise ValueError(f"names the label {key} twice")
        labels[key] = value
    check_count(labels)
    return labels


def check_label(key: str, value: str) -> None:
    """Raises ``ValueError`` with the end of a sentence if this is no label."""
    if len(key) > MAX_KEY or not _KEY.fullmatch(key):
        raise ValueError(
            f"is not a label: the key is a to z, 0 to 9, and . _ - / between them, at most {MAX_KEY}"
        )
    if len(value) > MAX_VALUE or not _VALUE.fullmatch(value):
        raise ValueError(
            f"is not a label: the value is letters, digits, and . _ - / between them, at most {MAX_VALUE}"
        )


def check_labels(labels: Mapping[str, str]) -> None:
    """Raises ``ValueError`` with the end of a sentence if these are no labels, or too many."""
    check_count(labels)
    for key, value in labels.items():
        check_label(key, value)


def check_count(labels: Mapping[str, str]) -> None:
    """Raises ``ValueError`` with the end of a sentence if these are too many."""
    if len(labels) > MAX_LABELS:
        raise ValueError(f"are {len(labels)} labels; at most {MAX_LABELS} are allowed")


def matches(required: Mapping[str, str], offered: Mapping[str, str]) -> bool:
    """Whether ``offered`` has every label that is required; one without a value asks for its key alone."""
    return all(key in offered and (not value or offered[key] == value) for key, value in required.items())


def format_labels(labels: Mapping[str, str]) -> str:
    """Labels as people write them, by key."""
    return ",".join(f"{key}={value}" if value else key for key, value in sorted(labels.items()))
