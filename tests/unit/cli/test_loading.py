"""What the options of ``mvm-ci loadtest`` mean together, and its files; nothing is started."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from mvm_ci.capacity.results import Cluster, Machine, Result, read
from mvm_ci.cli import loading
from mvm_ci.cli.loading import Files, Given, command, loads, profiles_of, soak, target
from mvm_ci.cli.main import root
from mvm_ci.domain.errors import BadInput
from mvm_ci.loadtest.asked import Asked, Load
from mvm_ci.loadtest.profiles import profile
from mvm_ci.loadtest.soak import Soaking

LOCAL = Given(
    local=True,
    options=(),
    simulated=False,
    slots=1,
    kill=None,
    kill_every_s=None,
    url=None,
    token_file=None,
)
THERE = LOCAL._replace(local=False)
ANY_PORT = "127.0.0.1:0"


def refusal(given: Given, *jobs: str, stub_bind: str = ANY_PORT) -> str:
    with pytest.raises(BadInput) as error:
        target(given, {name: profile(name) for name in jobs or ("wait",)}, stub_bind)
    return str(error.value)


# ------------------------------------------------------------ what is loaded


def test_a_cluster_of_ones_own_has_as_many_workers_as_are_wanted() -> None:
    found = target(LOCAL._replace(options=(4, 1)), {"wait": profile("wait")}, ANY_PORT)
    assert (len(found.fleets), found.address, found.stub, found.option) == (2, "local", "", None)
    assert found.ramp(()) == (1, 2, 5, 10)
    assert found.ramp((7, 700)) == (7, 700)


def test_a_stub_is_there_for_those_who_ask_one() -> None:
    found = target(LOCAL, {name: profile(name) for name in ("wait", "flow")}, "[::1]:8000")
    assert found.stub == "[::1]:8000"
    assert target(LOCAL, {"wait": profile("wait")}, "nonsense").stub == ""


@pytest.mark.parametrize(
    ("bind", "says"),
    [
        ("localhost:0", "'localhost:0' is not IP:PORT"),
        ("127.0.0.1", "is not IP:PORT"),
        ("127.0.0.1:65536", "is not IP:PORT"),
        ("127.0.0.1:²", "is not IP:PORT"),
        ("::1:0", "is not IP:PORT"),
        ("0.0.0.0:0", "give the one address by which workers reach this machine"),
        ("[::]:80", "give the one address"),
        ("[0:0::0]:80", "give the one address"),
    ],
)
def test_a_stub_that_guests_cannot_be_told_of_is_refused(bind: str, says: str) -> None:
    for given in (LOCAL, THERE):
        said = refusal(given, "http", stub_bind=bind)
        assert said.startswith("--stub-bind: ")
        assert says in said


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (LOCAL._replace(kill="true"), "--kill is for a running cluster"),
        (LOCAL._replace(url="http://127.0.0.1:1"), "--url and --token-file are for a running cluster"),
        (LOCAL._replace(token_file="t"), "--url and --token-file are for a running cluster"),
        (LOCAL._replace(simulated=True, kill_every_s=5.0), "simulated workers share a process"),
        (THERE._replace(simulated=True), "--simulated needs --local"),
        (THERE._replace(said=frozenset({"--slots"})), "--slots needs --local"),
        (THERE._replace(options=(1, 4)), "has its engine in one place"),
        (THERE._replace(kill_every_s=60.0), "--kill how: give both, or neither"),
        (THERE._replace(kill="true"), "--kill how: give both, or neither"),
        (THERE._replace(url="endpoint" + "a" * 60, token_file="token"), "a ticket leads to the API"),
    ],
)
def test_what_does_not_go_together_is_refused(
    given: Given, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("token").write_text("t" * 43)
    assert says in refusal(given)


def test_a_simulated_engine_takes_as_long_as_the_jobs_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[float] = []
    monkeypatch.setattr(loading, "_local", lambda what: made.append(what.service_ms))
    mine = tmp_path / "mine.toml"
    mine.write_text('[[job]]\nshare = 1\nsteps = "w30"\n')
    simulated = LOCAL._replace(simulated=True)
    for profiles in (profiles_of(("noop",), None), profiles_of((), None), profiles_of((), mine)):
        target(simulated, profiles, ANY_PORT)
    assert made == [0.0, 100.0, 30.0]
    for jobs in (("cpu",), ("flow",), ("noop", "wait")):
        assert "no guest runs, so jobs can only wait" in refusal(simulated, *jobs)
    assert target(simulated._replace(options=(4,)), {"cpu": profile("cpu")}, ANY_PORT).stub == ""


def test_more_workers_than_there_are_cannot_be_had() -> None:
    found = loading.Target([], "http://127.0.0.1:1", (3,), "", most=3)
    assert (found.ramp(()), found.ramp((1, 3))) == ((3,), (1, 3))
    with pytest.raises(BadInput, match="--workers: 3 workers are connected and take jobs, and not 4"):
        found.ramp((1, 4))


def test_kinds_of_jobs_are_those_that_were_named(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[[job]]\nshare = 1\nsteps = "w30"\n')
    assert list(profiles_of((), None)) == ["wait"]
    assert list(profiles_of((), mine)) == ["mine"]
    assert list(profiles_of(("noop", "cpu", "noop"), mine)) == ["noop", "cpu", "mine"]


# ------------------------------------------------------------ loads


def test_loads_are_all_that_was_asked_for_or_one_at_once() -> None:
    assert loads((), (), None) == (Load(per_worker=1),)
    assert loads((10.0, 20.0), ("100",), 3) == (
        Load(rate=10.0),
        Load(rate=20.0),
        Load(at_once=100),
        Load(per_worker=3),
    )
    assert loads((10.0,), (), None) == (Load(rate=10.0),)


def one_load(*workers: int) -> Asked:
    return Asked(profiles=("wait",), workers=workers or (2,), loads=(Load(rate=20.0),))


def test_a_soak_is_one_load_for_a_while() -> None:
    assert soak(one_load(), None, None, frozenset({"--measure"})) is None
    assert soak(one_load(), 60.0, 20.0, frozenset({"--slots"})) == Soaking(duration_s=60.0, kill_every_s=20.0)


@pytest.mark.parametrize(
    ("asked", "duration_s", "kill_every_s", "said", "says"),
    [
        (one_load(), None, 5.0, (), "--kill-every is for a soak: give --duration, too"),
        (one_load(), 29.0, None, (), "--duration: 29 s show nothing; give 30s or more"),
        (one_load(), 60.0, 60.0, (), "--kill-every: no worker is killed in a soak of 60 s"),
        (one_load(1, 2), 60.0, None, (), "a soak is one load"),
        (one_load(), 60.0, None, ("--measure",), "--measure: a soak is measured once"),
        (one_load(), 60.0, None, ("--repetitions", "--measure"), "--measure and --repetitions: a soak is"),
    ],
)
def test_what_is_no_soak_is_refused(
    asked: Asked, duration_s: float | None, kill_every_s: float | None, said: tuple[str, ...], says: str
) -> None:
    with pytest.raises(BadInput) as error:
        soak(asked, duration_s, kill_every_s, frozenset(said))
    assert says in str(error.value)


def test_what_is_ignored_is_what_somebody_gave() -> None:
    for args, words in (
        (("--slots", "1"), "--slots needs --local"),
        (("--local", "--workers", "1", "--duration", "1m", "--repetitions", "3"), "--repetitions: a soak"),
        (("--local", "--workers", "1", "--duration", "1m", "--measure", "10s"), "--measure: a soak"),
        (("--local", "--rate", "60000"), "--rate: 60000 requests a second"),
        (("--url", "http://me:secret@127.0.0.1:1", "--token-file", "t"), "must not carry a user"),
    ):
        done = CliRunner().invoke(root, ["loadtest", *args])
        assert (done.exit_code, done.stdout) == (2, "")
        assert words in done.stderr


# ------------------------------------------------------------ what a result says of itself


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["loadtest", "--local", "--rate", "10,20"], "mvm-ci loadtest --local --rate 10,20"),
        (["loadtest", "--kill", "ssh -i key $MVM_CI_WORKER", "--rate", "1"], "--kill '…' --rate 1"),
        (["loadtest", "--kill=ssh secret", "--html", "my report.html"], "'--kill=…' --html 'my report.html'"),
        (["--config", "c.toml", "loadtest", "--kill"], "mvm-ci --config c.toml loadtest --kill"),
    ],
)
def test_a_command_can_be_typed_again_but_for_what_may_be_secret(typed: list[str], told: str) -> None:
    assert command(typed).endswith(told)
    assert command(typed).startswith("mvm-ci ")
    assert "secret" not in command(typed)


# ------------------------------------------------------------ files


def result(took_s: float) -> Result:
    machine = Machine(
        cores=2,
        cpu="x",
        memory_mb=1,
        kernel="6",
        python="3.11",
        packages={},
        load_average=0.0,
        shared=True,
    )
    return Result(
        command="mvm-ci loadtest",
        began_ms=1,
        took_s=took_s,
        complete=True,
        machine=machine,
        cluster=Cluster(address="local", version="1"),
        profiles={"wait": "waits 100 ms"},
    )


def keep(files: Files, took_s: float) -> None:
    asyncio.run(files.keep(result(took_s)))


def kept(file: Path) -> float:
    return read(file.read_bytes(), file.name).took_s


def test_each_result_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    files = Files(output=output, html=tmp_path / "page.html", markdown=tmp_path / "tables.md")
    assert list(tmp_path.iterdir()) == [], "a run that cannot begin leaves nothing"
    keep(files, 1.0)
    first = output.stat()
    assert kept(output) == 1.0
    keep(files, 2.0)
    # Whoever has the first one open goes on reading that.
    assert output.stat().st_ino != first.st_ino
    assert kept(output) == 2.0
    files.write(result(3.0))
    assert kept(output) == 3.0
    assert {one.name for one in tmp_path.iterdir()} == {"result.json", "page.html", "tables.md"}
    assert files.names == tuple(str(tmp_path / name) for name in ("result.json", "page.html", "tables.md"))


def test_a_disk_that_is_full_leaves_the_result_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "result.json"
    files = Files(output=output, html=None, markdown=None)
    keep(files, 1.0)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match=r"--output .*result\.json: No space left on device"):
        keep(files, 2.0)
    assert kept(output) == 1.0
    assert list(tmp_path.iterdir()) == [output]


def test_permissions_and_links_stay_as_they_are(tmp_path: Path) -> None:
    output, link = tmp_path / "result.json", tmp_path / "latest.json"
    output.write_text("old")
    output.chmod(0o640)
    link.symlink_to(output)
    keep(Files(output=link, html=None, markdown=None), 1.0)
    assert link.is_symlink()
    assert kept(output) == 1.0
    assert stat.S_IMODE(output.stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        keep(Files(output=tmp_path / "new.json", html=None, markdown=None), 1.0)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.json").stat().st_mode) == 0o640


def test_a_device_is_not_replaced() -> None:
    null = Path(os.devnull)
    before = null.stat()
    files = Files(output=null, html=None, markdown=None)
    keep(files, 1.0)
    assert null.stat().st_ino == before.st_ino


def test_two_results_cannot_have_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"^--markdown .*same: --html goes there; give another file"):
        Files(output=None, html=Path("same"), markdown=tmp_path / "same")
    with pytest.raises(BadInput, match=r"^--html same: --output goes there"):
        Files(output=tmp_path / "same", html=Path("same"), markdown=None)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"--html .*none/page: No such file"):
        Files(output=tmp_path / "result.json", html=tmp_path / "none" / "page", markdown=None)
    (tmp_path / "there.json").write_text("")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(BadInput, match="its directory is not writable"):
        Files(output=tmp_path / "there.json", html=None, markdown=None)
