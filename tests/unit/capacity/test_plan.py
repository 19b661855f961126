"""Which option a wish gets: each rule, sizes and where they come from, commands that there really are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvm_ci.capacity import documented, planned
from mvm_ci.capacity.curve import Run
from mvm_ci.capacity.objective import DEFAULT
from mvm_ci.capacity.plan import NOT_SHIPPED, Plan, Wish, plan
from mvm_ci.capacity.sizes import Origin
from mvm_ci.capacity.ways import way
from mvm_ci.cli.lazy import LazyGroup
from mvm_ci.cli.main import root
from tests.unit.capacity.recorded import STRONG, WEAK, open_loop, ramp, recorded, run, step

ROOT = Path(__file__).resolve().parents[3]
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text()


def asked(workers: int, rate: float = 20.0, *runs: Run, **fields: Any) -> Plan:
    values = {"profile": "wait"} | fields
    return plan(Wish(workers=workers, jobs_per_s=rate, objective=DEFAULT, **values), runs)


@pytest.mark.parametrize(
    ("workers", "fields", "option"),
    [
        (3, {}, 4),
        (20, {}, 4),
        (21, {}, 1),
        (5, {"elsewhere": True}, 2),
        (6, {"elsewhere": True}, 1),
        (3, {"untrusted_jobs": True}, 1),
        (3, {"untrusted_machines": True}, 4),
        (50, {"untrusted_machines": True}, 3),
        (3, {"untrusted_jobs": True, "untrusted_machines": True}, 3),
        (3, {"may_pause": False}, 1),
        (3, {"may_pause": False, "untrusted_machines": True}, 3),
        (3, {"kubernetes": True}, 1),
        (21, {"kubernetes": True}, 3),
        (21, {"kubernetes": True, "untrusted_jobs": True}, 1),
        (3, {"kubernetes": True, "untrusted_machines": True}, 3),
    ],
)
def test_each_rule_without_measurements(workers: int, fields: dict[str, Any], option: int) -> None:
    found = asked(workers, **fields)
    assert found.option == option
    assert set(found.others) == {1, 2, 3, 4} - {option}
    assert all(found.others.values()), "each of the others has a reason"
    assert "no curve was measured: give --results FILE" in found.notes[-1]
    assert found.missing is not None


def test_a_rate_that_the_documentation_rules_out() -> None:
    assert asked(4, 20, profile="cpu").option == 4
    found = asked(4, 200, profile="cpu")
    assert found.option == 1
    assert found.said[0].text.startswith("it did 34.35 cpu jobs/s (docs/performance.md")
    assert asked(4, 200, profile="mine").option == 4, "the documentation has no figure for these jobs"


def test_what_was_measured_goes_before_the_documentations_limits() -> None:
    found = asked(50, 500, recorded("clear-no.json"))
    assert found.option == 4
    assert found.measured.startswith("measured: 100 workers with 1,000 jobs/s: 103.6 ms meets p99=250ms")
    assert found.missing is None
    assert found.move_on[0].startswith("more than 70 workers or 700 jobs/s")
    broken = asked(15, 500, recorded("clear-yes.json"))
    assert broken.option == 4
    assert "were not measured" in broken.measured
    assert asked(40, 400, recorded("clear-yes.json")).option == 1


def test_the_curve_is_shown_where_one_was_measured() -> None:
    text = planned.text(asked(50, 500, recorded("clear-no.json")))
    assert (
        "\n\ncurves of option 4 with wait jobs:\n"
        "  1 slots, 10 requests/s of each worker: at least 100 workers meet p99=250ms, with 1,000 jobs/s: "
        "the ramp ended there\n\n"
    ) in text
    ramp_ = planned.text(asked(3, 20, run(*ramp(option=4))))
    assert "10 requests at once of each worker: 50 workers meet" in ramp_
    assert "\n  lambda 100 jobs/s, sigma 0.02" in ramp_
    for other in (asked(3), asked(3, 20, recorded("other-profile.json"))):
        assert "\ncurves of option 4 with wait jobs: none was measured\n" in planned.text(other)
    plane = asked(50, 500, recorded("only-simulated.json"))
    assert (plane.option, plane.measured[:10]) == (1, "72 workers")
    assert "(the limit is the control plane's)" in planned.text(plane)


def test_the_run_that_is_missing_is_like_those_before() -> None:
    simulated = run(*open_loop((1, 2, 5), STRONG, simulated=True))
    missing = asked(10, 100, simulated).missing
    assert missing is not None
    assert "--local --option 4 --simulated --jobs wait --workers 10,15" in missing.command
    plane = asked(50, 500, recorded("only-simulated.json")).missing
    assert plane is not None
    assert "--local --option 1 --jobs wait" in plane.command, "of option 1 they run no guests"


@pytest.mark.parametrize(("rate", "slots"), [(20, 1), (3500, 1), (3600, 2), (7000, 2), (10_500, 3)])
def test_an_engine_has_as_many_slots_as_cores_are_needed(rate: float, slots: int) -> None:
    # Of the law in recorded.py: 0.2 ms of CPU a job; 30 % of it free.
    fast = run(*(step(n, jobs_per_s=n * 300, p99=100) for n in (1, 10, 100)))
    (_, command), _ = asked(50, rate, fast).way.commands
    assert command.startswith(f"ENGINE_SLOTS={slots} ")


def test_the_run_is_named_in_which_it_was_too_much() -> None:
    good = run(*open_loop((1, 2, 5), STRONG), name="good.json")
    bad = run(*open_loop((50,), WEAK, rate=800.0), name="bad.json")
    (said,) = (one for one in asked(50, 800, good, bad).said if one.against == (4,))
    assert said.text.endswith("does not meet p99=250ms (bad.json, 2026-11-30)")


@pytest.mark.parametrize(
    "name", ["unsteady.json", "failures.json", "generator-bound.json", "too-few-points.json"]
)
def test_what_does_not_count_is_no_measurement(name: str) -> None:
    assert "were not measured" in asked(3, 20, recorded(name)).measured


def test_each_size_says_where_it_comes_from() -> None:
    found = {one.name: one for one in asked(50, 500, recorded("clear-no.json")).sizes}
    worker = found["memory of a worker"]
    assert (worker.value, worker.origin) == (46, Origin.MEASURED)
    assert worker.source == "clear-no.json, 2026-11-30: 50 workers, wait, 2 cores, AMD EPYC"
    assert found["memory of 50 workers and the control plane and the engine"].origin is Origin.ESTIMATED
    assert found["cores of the engine"].value == pytest.approx(500 * 0.0002 / 0.7)
    assert found["disk"].origin is Origin.DOCUMENTED
    more = {one.name: one for one in asked(500, 5000, recorded("clear-no.json"), untrusted_jobs=True).sizes}
    assert more["memory of a worker"].origin is Origin.ESTIMATED, "of fewer workers than are wanted"
    assert asked(3).sizes[0].origin is Origin.DOCUMENTED


def test_as_many_engines_as_what_one_bore_calls_for() -> None:
    tier = run(*open_loop((1, 10, 50), STRONG, option=3))
    found = {one.name: one for one in asked(100, 1000, tier, untrusted_machines=True).sizes}
    assert (found["engines"].value, found["engines"].origin) == (3, Origin.ESTIMATED)


def test_option_3_says_what_is_not_there() -> None:
    found = asked(50, kubernetes=True)
    assert NOT_SHIPPED in found.notes
    assert not (ROOT / "deploy" / "kubernetes").exists()
    assert "mvm-ci engine --bind" in planned.text(found)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 3000),
    st.floats(0.1, 20_000),
    st.fixed_dictionaries(
        {
            name: st.booleans()
            for name in ("kubernetes", "untrusted_jobs", "untrusted_machines", "may_pause", "elsewhere")
        }
    ),
    st.sampled_from(["", "clear-yes.json", "clear-no.json"]),
)
def test_no_wish_gets_what_a_rule_speaks_against(
    workers: int, rate: float, fields: dict[str, bool], name: str
) -> None:
    found = asked(workers, rate, *([recorded(name)] if name else []), **fields)
    assert not any(found.option in one.against for one in found.said)
    if fields["untrusted_machines"]:
        assert found.option != 1
    if fields["untrusted_jobs"] or not fields["may_pause"] or fields["kubernetes"]:
        assert found.option not in (2, 4)
    assert planned.text(found)


def _options(words: list[str]) -> None:
    """Fails if it is no command, or has an option that the command has not, or a value of the wrong form."""
    command: click.Command = root
    context = click.Context(command)
    while isinstance(command, LazyGroup):
        found = command.get_command(context, words[0]) if words and not words[0].startswith("-") else None
        if found is None:
            break
        command, words = found, words[1:]
    known = {name: param for param in command.params for name in param.opts}
    for word, value in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--"):
            assert word in known, f"{command.name} has no {word}"
            param = known[word]
            if isinstance(param, click.Option) and not param.is_flag:
                param.type.convert(value, param, context)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("option", [1, 2, 3, 4])
@pytest.mark.parametrize("workers", [1, 50, 500, 20_000])
def test_the_files_and_commands_are_there(option: int, workers: int, where: str) -> None:
    found = way(option, workers, 2, elsewhere=where == "elsewhere")
    assert all((ROOT / name).exists() for name in found.files)
    script = (ROOT / "scripts" / "start-cluster.sh").read_text()
    for _, command in found.commands:
        words = shlex.split(command.split(" > ")[0])
        variables = [word.partition("=")[0] for word in words if re.match(r"[A-Z_]+=", word)]
        compose = "".join(
            (ROOT / name).read_text() for name in ("docker-compose.yml", "docker-compose.option1.yml")
        )
        assert all(f"${{{name}" in compose for name in variables)
        words = words[len(variables) :]
        if words[0] == "mvm-ci":
            _options(words[1:])
        elif words[0] == "scripts/start-cluster.sh":
            assert f"{words[2]}) file=" in script
            assert int(words[4]) <= 100
        else:
            assert words[0] == "docker-compose"


def test_the_load_tests_that_are_named_can_be_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").touch()
    for wish in (asked(3), asked(3, 0.5, profile="mine"), asked(50, 7.77, kubernetes=True)):
        assert wish.missing is not None
        _options(shlex.split(wish.missing.command)[1:])


def test_the_documented_figures_are_those_of_their_pages() -> None:
    def row(name: str) -> str:
        return next(line for line in PERFORMANCE.splitlines() if line.startswith(f"| {name}"))

    numbers = [
        float(one.replace(",", "")) for one in re.findall(r"[\d,.]*\d", row("memory of a worker, MiB"))
    ]
    assert (numbers[0], numbers[1], numbers[3]) == tuple(documented.WORKER_MB[one] for one in (1, 2, 4))
    hosts = row("memory of what hosts the engine, MiB")
    assert all(f"| {documented.HOST_MB[one]:.0f} " in hosts for one in (2, 4))
    assert f"| {documented.CONTROL_PLANE_MB:.0f} |" in row("`rss_server_mb`")
    names = {
        "noop": "no-op jobs a second",
        "wait": "jobs a second that wait 100 ms",
        "cpu": "jobs a second that compute 50 ms",
    }
    for option, rates in documented.JOBS_PER_S.items():
        assert set(rates) == set(names)
        for kind, rate in rates.items():
            assert f"| {rate:,.4g} (" in row(f"{names[kind]} | 5 |").replace(f"{rate:g}", f"{rate:,.4g}"), (
                option
            )
    for option, most in documented.MOST_WORKERS.items():
        page = (ROOT / documented.LIMITS[option].split(",")[0]).read_text()
        assert re.search(rf"\| workers \| (about )?{most}\b", page)
    assert "2 GiB of disk" in (ROOT / documented.DISK.split(",")[0]).read_text()
    for where in (documented.WHERE, documented.CONTROL_PLANE):
        page, section, date, _ = where.split(", ", 3)
        assert f"## {section}" in (ROOT / page).read_text()
        assert date in (ROOT / page).read_text()


def test_the_isolation_that_option_1_gains_is_in_the_documents() -> None:
    page = (ROOT / "docs" / "deployment" / "option-4.md").read_text()
    assert "Not for code that you do not trust: choose option 1" in page
