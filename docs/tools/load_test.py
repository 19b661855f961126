"""What a result of ``mvm-ci loadtest`` says: of a step, a curve, a soak."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from docs.tools.measured import (
    Chosen,
    Found,
    NoFigure,
    Run,
    Value,
    date,
    hardware,
    machine,
    pairs,
    shown,
    without,
)
from mvm_ci.capacity import objective, telling
from mvm_ci.capacity.curve import PARTS, Curve, curves
from mvm_ci.capacity.curve import Run as CurveRun
from mvm_ci.capacity.results import Grown, Result, Soak, Step
from mvm_ci.capacity.usl import Fit


def table(curve: Curve) -> str:
    """All points, as a Markdown table."""
    parts = [part for part in PARTS if any(part in point.cpu_cores for point in curve.points)]
    heads = [curve.kind.over.value, "jobs a second", "p50, ms", "p99, ms"]
    heads += [f"{part}: cores, MiB" for part in parts]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for point in curve.points:
        used = [
            f"{shown(point.cpu_cores.get(part, 0.0))}, {shown(point.memory_mb.get(part, 0.0))}"
            for part in parts
        ]
        over = "" if point.met else " (over the objective)"
        figures = [shown(point.jobs_per_s), shown(point.p50_ms), shown(point.p99_ms) + over]
        lines.append(f"| {' | '.join([f'{point.at:,g}', *figures, *used])} |")
    return "\n".join(lines)


def looked_at(what: str, count: int | None) -> int:
    """The count, if somebody counted."""
    if count is None:
        raise NoFigure(f"nobody looked for {what}; a soak that is complete would supply it")
    return count


class LoadTest(Run):
    """A result of ``mvm-ci loadtest``. Fields of ``Step`` (``option``, ``profile``, ``workers``, ``loop`` and
    so on) choose one, those of ``capacity.curve.Kind`` a curve; ``part`` whose CPU or memory, ``what`` which
    figure of a soak.
    """

    _STEP: Final[Mapping[str, Callable[[Step], float]]] = {
        "rate": lambda step: step.jobs_per_s,
        "p50": lambda step: step.p50_ms,
        "p99": lambda step: step.p99_ms,
        "failed": lambda step: step.failed,
        "repetitions": lambda step: len(step.repetitions),
    }
    _PART: Final[Mapping[str, Callable[[Step, str], float]]] = {
        "cpu": Step.cpu_cores,
        "memory": Step.memory_mb,
    }
    _RUN: Final[Mapping[str, Callable[[Result], Value]]] = {
        "date": lambda result: date(result.began_ms),
        "minutes": lambda result: result.took_s / 60,
        "command": lambda result: result.command,
        "slo": lambda result: result.slo,
        "load-average": lambda result: result.machine.load_average,
        "hardware": lambda result: hardware(result.machine.cores, result.machine.cpu),
        "machine": lambda result: machine(
            result.machine.cores,
            result.machine.cpu,
            result.machine.kernel,
            result.machine.python,
            result.machine.packages,
        ),
    }
    _SOAK: Final[Mapping[str, Callable[[Soak], Value]]] = {
        "submitted": lambda soak: soak.submitted,
        "completed": lambda soak: soak.completed,
        "lost": lambda soak: looked_at("lost jobs", soak.lost),
        "doubled": lambda soak: looked_at("effects done twice", soak.doubled),
        "repeated": lambda soak: soak.repeated,
        "losses": lambda soak: len(soak.losses),
        "back": lambda soak: max((one.back_s - one.at_s for one in soak.losses if one.back_s), default=0.0),
    }
    _GROWN: Final[Mapping[str, Callable[[Grown], Value]]] = {
        "slope": lambda grown: grown.per_hour,
        "noise": lambda grown: grown.noise_per_hour,
        "verdict": lambda grown: "within noise" if grown.within_noise else "grows",
    }

    _CURVE: Final[Mapping[str, Callable[[Curve], Value]]] = {
        "knee": telling.up_to,
        "knee-rate": lambda curve: curve.knee.last_jobs_per_s or 0.0,
        "curve": table,
    }
    _FIT: Final[Mapping[str, Callable[[Fit], Value]]] = {
        "lambda": lambda fit: fit.lambda_,
        "sigma": lambda fit: fit.sigma,
        "kappa": lambda fit: fit.kappa,
        "peak": lambda fit: "none" if fit.peak is None else round(fit.peak),
    }

    def __init__(self, name: str, result: Result) -> None:
        super().__init__(name)
        self.result = result

    def figure(self, what: str, chosen: Chosen) -> Value:
        if what in self._RUN:
            return self._RUN[what](self.result)
        if what in self._SOAK or what in self._GROWN:
            return self._of_soak(what, chosen)
        if what in self._STEP:
            return self._STEP[what](self.step(chosen))
        if what in self._PART:
            return self._of_part(what, chosen)
        if what in self._CURVE:
            return self._CURVE[what](self.curve(chosen))
        if what in self._FIT or what == "held-back":
            return self._of_fit(what, self.curve(chosen))
        kinds = (self._RUN, self._SOAK, self._GROWN, self._STEP, self._PART, self._CURVE, self._FIT)
        raise self.no(what, [name for kind in kinds for name in kind])

    def step(self, chosen: Chosen) -> Step:
        """The one step that is as chosen."""
        steps = [step for step in self.result.steps if step.repetitions]
        soak = self.result.soak
        if soak is not None and soak.step.repetitions and soak.step not in steps:
            steps.append(soak.step)
        return self._only(steps, lambda step: step, "step", chosen)

    def curve(self, chosen: Chosen) -> Curve:
        """The one curve over workers, or as ``over`` says, that is as chosen."""
        goal = objective.parse(self.result.slo) if self.result.slo else objective.DEFAULT
        found = curves([CurveRun(name=self.name, result=self.result)], goal)
        return self._only(
            [curve for curve in found if curve.points],
            lambda curve: curve.kind,
            "curve",
            {"over": "workers", **chosen},
        )

    def _only(
        self, all_: Sequence[Found], of: Callable[[Found], msgspec.Struct], noun: str, chosen: Chosen
    ) -> Found:
        found = [one for one in all_ if all(_is(of(one), key, value) for key, value in chosen.items())]
        if len(found) == 1:
            return found[0]
        known = "; ".join(sorted({_shown(of(one)) for one in found or all_})) or "nothing"
        if found:
            raise NoFigure(f"{self.name}: {len(found)} {noun}s have {pairs(chosen)}: {known}")
        raise NoFigure(
            f"{self.name} has no {noun} with {pairs(chosen)}; a run of mvm-ci loadtest with that would "
            f"supply it. It has: {known}"
        )

    def _of_fit(self, what: str, curve: Curve) -> Value:
        if curve.fit is None:
            raise NoFigure(f"{self.name}: no {what}: {curve.no_fit}; a run with more --workers would give it")
        if what != "held-back":
            return self._FIT[what](curve.fit)
        if curve.largest_held_back is None:
            raise NoFigure(f"{self.name}: no point can be held back; a run with more --workers would give it")
        return curve.largest_held_back.error

    def _of_part(self, what: str, chosen: Chosen) -> float:
        part, others = without(chosen, "part", self.name)
        step = self.step(others)
        value = self._PART[what](step, part)
        if not value:
            parts = sorted({used.part for one in step.repetitions for used in one.usage})
            raise NoFigure(f"{self.name}: {what} of {part!r} was not measured; of: {', '.join(parts)}")
        return value

    def _of_soak(self, what: str, chosen: Chosen) -> Value:
        soak = self.result.soak
        if soak is None:
            raise NoFigure(f"{self.name} has no soak; a run with --duration would supply it")
        if what in self._SOAK:
            return self._SOAK[what](soak)
        part, others = without(chosen, "part", self.name)
        kind, _ = without(others, "what", self.name)
        for one in soak.grown:
            if (one.part, one.what) == (part, kind):
                return self._GROWN[what](one)
        known = ", ".join(f"part={one.part} what={one.what}" for one in soak.grown)
        raise NoFigure(f"{self.name}: no {what} of {pairs(chosen)}; of: {known}")


def _is(one: msgspec.Struct, key: str, value: str) -> bool:
    if key not in one.__struct_fields__:
        raise NoFigure(f"{key}={value}: there is no {key}; there is: {', '.join(one.__struct_fields__)}")
    return _plain(getattr(one, key)) == value


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _shown(one: msgspec.Struct) -> str:
    """What is chosen by, of a step or a kind of curve."""
    keys = ("option", "profile", "simulated", "loop", "batch", "over", "workers", "rate", "in_flight", "load")
    found = {key: getattr(one, key, None) for key in (*keys, "per_worker")}
    return " ".join(f"{key}={_plain(value)}" for key, value in found.items() if value is not None)
