"""Building a Python job, for ``build`` and ``run``."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvm_ci.adapters.componentize.build import BuildReport


def build_job(job: Path, target: Path) -> "BuildReport":
    """Builds ``job`` into ``target``; says on stderr what it warns of. Raises ``BadInput`` and others."""
    from mvm_ci.adapters.componentize.build import build
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import read_file
    from mvm_ci.cli.options import source
    from mvm_ci.config.processes import build_cache

    cache = build_cache(source({}, "build"))
    read_file(job)  # what cannot be read should be said before anything that takes long
    output.note(f"building {job}")
    made = build(job, target, cache=cache)
    for warning in made.warnings:
        output.note(f"warning: {warning}")
    return made
