"""Numbers in the documents: where they come from, how they are written, what is said of a missing one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from docs.tools import figures, runs
from docs.tools.figures import Unrendered, rendered
from docs.tools.load_test import LoadTest
from docs.tools.measured import NoFigure, Run, shown
from mvm_ci.capacity import results as r

DAY_MS = 1_796_043_020_868
PACKAGES = {"wasmtime": "50.0.1", "iroh": "1.2.0"}
P99_MS = {1: 110.0, 2: 112.0, 10: 120.0, 50: 180.0, 100: 400.0}


def step(workers: int, rate: float, p99_ms: float, profile: str = "wait") -> r.Step:
    used = (
        r.Usage(part="control-plane", processes=3, cpu_cores=0.5, memory_mb=160.0 + workers),
        r.Usage(part="workers", processes=workers, cpu_cores=0.25, memory_mb=46.0 * workers),
    )
    repetition = r.Repetition(
        warm_up_s=1.0,
        measured_s=10.0,
        steady=True,
        jobs=2_000,
        failed=0,
        jobs_per_s=rate,
        latency=r.Latency(p50=101.0, p99=p99_ms),
        late_p99_ms=0.1,
        usage=used,
    )
    return r.Step(
        option=4,
        profile=profile,
        workers=workers,
        slots=1,
        simulated=False,
        loop=r.Loop.CLOSED,
        in_flight=workers,
        repetitions=(repetition,) * 3,
    )


def usl(workers: int) -> float:
    """Jobs a second of so many workers, with contention of 0.02 and crosstalk of 0.0004."""
    return 9.5 * workers / (1 + 0.02 * (workers - 1) + 0.0004 * workers * (workers - 1))


def result(*, largest: int = 100, soak: bool = True) -> r.Result:
    steps = [step(n, usl(n), ms) for n, ms in P99_MS.items() if n <= largest]
    memory = r.Grown(
        part="control-plane",
        what="memory",
        unit="MiB",
        per_hour=1.5,
        noise_per_hour=8.0,
        within_noise=True,
        points=((0.0, 80.0),),
    )
    lasting = r.Soak(
        step=step(5, 40.0, 115.0, "mixed"),
        submitted=36_011,
        completed=36_011,
        failed=0,
        lost=0,
        doubled=0,
        repeated=2,
        losses=(r.Loss(worker="w", at_s=120.0, back_s=134.25), r.Loss(worker="v", at_s=240.0)),
        grown=(memory,),
    )
    return r.Result(
        command="--local --option 4",
        began_ms=DAY_MS,
        took_s=1800.0,
        complete=True,
        machine=r.Machine(
            cores=2,
            cpu="AMD EPYC",
            memory_mb=8000,
            kernel="6.18.44-x",
            python="3.11.7",
            packages=PACKAGES,
            load_average=0.4,
            shared=True,
        ),
        cluster=r.Cluster(address="local", version="0.1.0"),
        profiles={"wait": "sleeps 100 ms"},
        slo="p99=250ms",
        steps=tuple(steps),
        soak=lasting if soak else None,
    )


def reader(name: str) -> Run:
    """Knows one load test, and what is committed."""
    return LoadTest("load.json", result()) if name == "load" else runs.read(name)


Render = Callable[[str], str]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    def made(text: str) -> str:
        source = tmp_path / "PAGE.md.in"
        source.write_text(text)
        return rendered(source, reader)

    return made


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (36_011, "36,011"),
        (0, "0"),
        (0.0, "0"),
        (5675.4, "5,680"),
        (999.6, "1,000"),
        (117.47, "117"),
        (45.653, "45.7"),
        (2.6044, "2.6"),
        (0.37180, "0.372"),
        (0.000_123_4, "0.000123"),
        (-9.116, "-9.12"),
        ("within noise", "within noise"),
    ],
)
def test_what_is_counted_is_told_in_full_and_what_is_measured_with_three_digits(
    value: float | str, text: str
) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("load: date", "2026-11-30"),
        ("load: machine", "2 cores (AMD EPYC), Linux 6.18.44, Python 3.11.7, wasmtime 50.0.1, iroh 1.2.0"),
        ("load: hardware", "2 cores (AMD EPYC)"),
        ("benchmark: hardware", "2 cores (AMD EPYC)"),
        ("load: minutes", "30"),
        ("load: slo", "p99=250ms"),
        ("load: profile=wait workers=10 rate", "78.1"),
        ("load: profile=wait workers=10 p50", "101"),
        ("load: profile=wait workers=50 p99", "180"),
        ("load: profile=wait workers=50 failed", "0"),
        ("load: profile=wait workers=10 part=control-plane memory", "170"),
        ("load: profile=wait workers=10 part=workers cpu", "0.25"),
        ("load: profile=mixed rate", "40"),
        ("load: profile=wait option=4 knee", "50"),
        ("load: profile=wait option=4 knee-rate", "160"),
        ("load: profile=wait sigma", "0.02"),
        ("load: profile=wait kappa", "0.0004"),
        ("load: profile=wait peak", "49"),
        ("load: lost", "0"),
        ("load: doubled", "0"),
        ("load: submitted", "36,011"),
        ("load: losses", "2"),
        ("load: back", "14.2"),
        ("load: part=control-plane what=memory slope", "1.5"),
        ("load: part=control-plane what=memory noise", "8"),
        ("load: part=control-plane what=memory verdict", "within noise"),
        ("load: profile=wait workers=2 rate / load: profile=wait workers=1 rate", "1.96"),
        ("benchmark: date", "2026-12-01"),
        ("benchmark: option=4 workers=5 profile=noop rate", "5,130"),
        ("benchmark: option=4 worker-memory / benchmark: option=1 worker-memory", "0.44"),
        ("benchmark: option=2 worker-memory", "33.4"),
        ("containers: base-image-mb", "109"),
        ("containers: hardware", "2 cores (AMD EPYC)"),
        ("option-4-30-minutes: jobs", "36,011"),
        ("option-4-30-minutes: passed", "8"),
        ("option-4-30-minutes: problems", "0"),
        ("option-4-30-minutes: delay=submit p99", "115"),
        ("option-4-30-minutes: growth=memory last", "82.1"),
    ],
)
def test_each_kind_of_figure(render: Render, reference: str, text: str) -> None:
    assert render(f"It is {{{{ {reference} }}}}.\n") == f"It is {text}.\n"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (
            "nowhere: rate",
            ("no nowhere.json", "a run of mvm-ci loadtest with --output docs/deployment"),
        ),
        ("load: profile=cpu workers=10 rate", ("no step with profile=cpu workers=10", "would supply it")),
        ("load: profile=wait rate", ("5 steps have profile=wait", "workers=100")),
        ("load: colour=red rate", ("there is no colour", "profile")),
        ("load: profile=wait workers=10 part=engine memory", ("'engine' was not measured", "control-plane")),
        ("load: profile=wait workers=10 memory", ("say which part",)),
        ("load: profile=cpu knee", ("no curve with", "profile=cpu", "would supply it")),
        ("load: part=workers what=memory slope", ("part=control-plane what=memory",)),
        ("load: colour", ("no figure 'colour'", "knee", "rate", "sigma", "slope")),
        (
            "benchmark: option=3 workers=5 profile=noop rate",
            ("python -m benchmarks options would supply it",),
        ),
        ("benchmark: option=4 profile=noop rate", ("say which workers",)),
        ("benchmark: colour", ("no figure 'colour'", "worker-memory")),
        ("containers: colour", ("no figure 'colour'", "start-s")),
        ("option-4-30-minutes: delay=lunch p99", ("no 'lunch'", "submit")),
        ("option-4-30-minutes: colour", ("no figure 'colour'", "jobs")),
        ("minutes: NOWHERE.md", ("no docs/deployment/NOWHERE.md",)),
        ("load: date / load: lost", ("a ratio is of two numbers",)),
        ("load: submitted / load: lost", ("the second one not 0",)),
        ("nonsense", ("a reference is RUN: KEY=VALUE",)),
        ("load: workers 10 rate", ("a reference is RUN: KEY=VALUE",)),
    ],
)
def test_a_figure_that_is_not_there(render: Render, reference: str, words: tuple[str, ...]) -> None:
    with pytest.raises(Unrendered) as raised:
        render(f"one\ntwo {{{{ {reference} }}}}\n")
    (line,) = str(raised.value).splitlines()
    assert f"/PAGE.md.in:2: {{{{ {reference} }}}}: " in line
    for text in words:
        assert text in line


def test_all_that_is_missing_is_told_at_once(render: Render) -> None:
    with pytest.raises(Unrendered) as raised:
        render("{{ a: b }} {{ load: lost }}\n{{ c: d }}\n")
    assert [line.split(":")[1] for line in str(raised.value).splitlines()] == ["1", "2"]


def test_figures_of_a_run_without_them() -> None:
    few = LoadTest("few.json", result(largest=2, soak=False))
    for what, chosen, words in (
        ("lost", {}, "no soak; a run with --duration"),
        ("sigma", {"profile": "wait"}, "3 different numbers of workers"),
        ("held-back", {"profile": "wait"}, "3 different numbers of workers"),
    ):
        with pytest.raises(NoFigure, match=words):
            few.figure(what, chosen)


def test_the_step_of_a_soak_is_one_whether_or_not_it_is_among_the_steps() -> None:
    apart = result(largest=2)
    assert apart.soak is not None
    among = msgspec.structs.replace(apart, steps=(*apart.steps, apart.soak.step))
    for one in (apart, among):
        read = r.read(msgspec.json.encode(one), "soak.json")
        chosen = {"profile": apart.soak.step.profile, "workers": str(apart.soak.step.workers)}
        assert LoadTest("soak.json", read).step(chosen) == apart.soak.step


def test_a_knee_that_was_not_reached_is_at_least_what_was_measured() -> None:
    assert LoadTest("load.json", result(largest=50)).figure("knee", {"profile": "wait"}) == "at least 50"


def test_a_curve_is_a_table(render: Render) -> None:
    lines = render("{{ load: profile=wait curve }}\n").splitlines()
    assert lines[0].startswith("| workers | jobs a second | p50, ms | p99, ms | control-plane: cores, MiB |")
    assert len(lines) == 2 + len(P99_MS)
    assert lines[-1].startswith("| 100 | 137 | 101 | 400 (over the objective) | 0.5, 260 |")


def test_columns_are_kept_in_tables_of_plain_text(render: Render) -> None:
    assert render("|{{ load: lost >5 }}|{{ load: losses <5 }}|\n") == "|    0|2    |\n"
    assert render("end {{ load: lost <9 }}\n") == "end 0\n"


def test_documents_that_differ_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources").mkdir()
    monkeypatch.setattr(figures, "DEPLOYMENT", tmp_path)
    monkeypatch.setattr(figures, "SOURCES", tmp_path / "sources")
    (tmp_path / "sources" / "A.md.in").write_text("{{ minutes: B.txt }} minutes\n")
    (tmp_path / "sources" / "B.txt.in").write_text("{{ benchmark: date }}" + " word" * 300 + "\n")
    page, text = tmp_path / "A.md", tmp_path / "B.txt"
    assert figures.differing() == [page, text]
    figures.write()
    assert figures.differing() == []
    assert page.read_text() == "2 minutes\n"
    text.write_text(text.read_text().replace("2026", "2027"))
    assert figures.differing() == [text]
