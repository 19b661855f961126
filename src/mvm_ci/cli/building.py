"""Building a Python job, for ``build`` and ``run``."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvm_ci.adapters.componentize.build import BuildReport
    from mvm_ci.adapters.componentize.plan import CheckReport


def build_job(job: Path, target: Path | None, *, relock: bool = False) -> "BuildReport":
    """Builds ``job`` into ``target``, by default beside it or in it; says on stderr what it does and what it
    warns of. Raises ``BadInput`` and others.
    """
    from mvm_ci.adapters.componentize.build import build
    from mvm_ci.cli import output

    if job.exists():
        output.note(f"building {job}")
    made = build(job, target or target_of(job), cache=_cache(), relock=relock, tell=output.note)
    for warning in made.warnings:
        output.note(f"warning: {warning}")
    return made


def check_job(job: Path, *, relock: bool) -> "CheckReport":
    """What building ``job`` would do. Raises ``BadInput`` and others."""
    from mvm_ci.adapters.componentize.plan import check
    from mvm_ci.cli import output

    return check(job, cache=_cache(), relock=relock, tell=output.note)


def target_of(job: Path) -> Path:
    """The module of ``job``: beside a script, in a directory."""
    return job / f"{job.resolve().name}.wasm" if job.is_dir() else job.with_suffix(".wasm")


def _cache() -> Path:
    from mvm_ci.cli.options import source
    from mvm_ci.config.processes import build_cache

    return build_cache(source({}, "build"))
