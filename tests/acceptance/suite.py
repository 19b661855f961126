"""The checks of the suite, for whoever runs it on a deployment of its own."""

from __future__ import annotations

from collections.abc import Callable

from tests.acceptance import test_jobs, test_losses


def checks() -> dict[str, Callable[..., None]]:
    """By name, in the order in which they are run."""
    return {
        name: check
        for module in (test_jobs, test_losses)
        for name, check in vars(module).items()
        if name.startswith("test_")
    }
