"""The configuration file: below the environment, above the defaults, and strict about what it holds."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.config import settings
from mvm_ci.config.file import parse_config, read_config
from mvm_ci.config.processes import control_plane_config, log_config, worker_config
from mvm_ci.config.source import Source
from mvm_ci.domain.errors import Misconfigured

WORKER = """
[worker]
ticket = "t"
slots = 4
grace = 90
allow_host = ["a.test", "b.test:*"]
log_level = "debug"
"""


def written(folder: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    """The environment of a process with this configuration file."""
    file = folder / "config.toml"
    file.write_text(text)
    file.chmod(mode)
    return {"MVM_CI_CONFIG": str(file), "HOME": "/home/x"}


def test_a_process_reads_its_section(tmp_path: Path) -> None:
    source = Source.open({}, written(tmp_path, WORKER), "worker")
    config = worker_config(source)
    assert (config.ticket, config.grace_s, config.guests.slots) == ("t", 90.0, 4)
    assert config.guests.allow_hosts == ("a.test", "b.test:*")
    assert log_config(source).level == "debug"
    assert log_config(source.for_section("control-plane")).level == "info"


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    environ = written(tmp_path, '[control-plane]\nlease = "20s"\n')
    flags, variable = {"lease": "40s"}, {"MVM_CI_LEASE": "30s"}
    found = [
        control_plane_config(Source.open(typed, environ | above, "control-plane")).lease_s
        for typed, above in ((flags, variable), ({}, variable), ({}, {}))
    ]
    assert found == [40.0, 30.0, 20.0]
    assert control_plane_config(Source.open({}, {"HOME": str(tmp_path)}, "control-plane")).lease_s == 15.0


def test_the_file_is_named_by_flag_variable_or_its_usual_place(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("flag.toml", "variable.toml", "mvm-ci/config.toml")]
    (tmp_path / "mvm-ci").mkdir()
    for slots, place in enumerate(places, start=1):
        place.write_text(f"[worker]\nslots = {slots}\n")
    usual = {"XDG_CONFIG_HOME": str(tmp_path)}
    named = usual | {"MVM_CI_CONFIG": str(places[1])}
    found = [
        Source.open(flags, environ, "worker").get(settings.SLOTS)
        for flags, environ in (({"config": str(places[0])}, named), ({}, named), ({}, usual), ({}, {}))
    ]
    assert found == [1, 2, 3, None]


@pytest.mark.parametrize("name", ["--config", "MVM_CI_CONFIG"])
def test_a_file_that_is_named_must_be_there(name: str, tmp_path: Path) -> None:
    path = str(tmp_path / "none.toml")
    flags, environ = ({"config": path}, {}) if name == "--config" else ({}, {name: path})
    with pytest.raises(Misconfigured, match=f"^{name}: there is no file {path}"):
        Source.open(flags, environ)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("slots = 4", "there is no setting slots"),
        ("[wroker]", "there is no setting wroker; did you mean worker?"),
        ("[worker]\nslot = 4", "there is no setting worker.slot; did you mean slots?"),
        ("[dev]\nlease = 4", "there is no setting dev.lease"),
        ("[worker]\ndebug = 1", "there is no setting worker.debug"),
        ('[profiles.a]\nurl = "http://a.test"\ntokn = "x"', "profiles.a.tokn; did you mean token?"),
        ("[profiles.a]", "profiles.a: there is no url"),
        ('[profiles."a b"]\nurl = "http://a.test"', "'a b' is not a profile's name"),
        ('profile = "b"\n[profiles.bb]\nurl = "http://a.test"', "no profile 'b' in .*did you mean bb?"),
        ("profile = 1", "profile: is not text"),
        ("worker = 1", "worker: is not a section"),
        ("[worker]\nslots = true", "worker.slots: is neither text nor a number"),
        ("[worker]\nslots = [1]", "worker.slots: is neither text nor a number"),
        ('[worker]\nallow_host = "a.test"', "worker.allow_host: is not a list of texts"),
        ("[worker]\nallow_host = [1]", "worker.allow_host: is not a list of texts"),
        (
            '[worker]\njoin_token = "a"\njoin_token_file = "b"',
            "join_token and .*join_token_file are both set",
        ),
        ("[worker", "not TOML"),
        ("a = " + "[" * 10_000, "not TOML"),
        ("#" * 300_000, "more than"),
    ],
)
def test_what_nobody_would_read_is_an_error_that_names_it(text: str, words: str, tmp_path: Path) -> None:
    environ = written(tmp_path, text)
    with pytest.raises(Misconfigured, match=words.replace("?", r"\?")) as caught:
        Source.open({}, environ)
    assert environ["MVM_CI_CONFIG"] in str(caught.value)


def test_a_wrong_value_is_named_by_file_and_key(tmp_path: Path) -> None:
    environ = written(tmp_path, '[worker]\nslots = "many"\n')
    with pytest.raises(
        Misconfigured, match=rf"^{environ['MVM_CI_CONFIG']}:worker\.slots: 'many' is not a number"
    ):
        Source.open({}, environ, "worker").get(settings.SLOTS)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secret_that_others_can_read_is_refused(mode: int, tmp_path: Path) -> None:
    for text in (
        '[worker]\njoin_token = "hidden"\n',
        '[profiles.a]\nurl = "http://a.test"\ntoken = "hidden"\n',
    ):
        environ = written(tmp_path, text, mode)
        with pytest.raises(Misconfigured, match="chmod 600") as caught:
            Source.open({}, environ)
        assert "hidden" not in str(caught.value)
        Path(environ["MVM_CI_CONFIG"]).chmod(0o600)
        assert "hidden" not in repr(Source.open({}, environ).file)


def test_a_file_without_secrets_may_be_read_by_all(tmp_path: Path) -> None:
    environ = written(tmp_path, '[worker]\njoin_token_file = "join.token"\n', 0o644)
    (tmp_path / "join.token").write_text("mvm_join_x\n")
    assert Source.open({}, environ, "worker").secret(settings.JOIN_TOKEN) == "mvm_join_x"


def test_the_flag_or_variable_of_a_secret_beats_the_file(tmp_path: Path) -> None:
    environ = written(tmp_path, '[worker]\njoin_token = "from-file"\n')
    assert Source.open({}, environ, "worker").secret(settings.JOIN_TOKEN) == "from-file"
    above = environ | {"MVM_CI_JOIN_TOKEN": "from-variable"}
    assert Source.open({}, above, "worker").secret(settings.JOIN_TOKEN) == "from-variable"


def test_the_ticket_of_a_nearer_place_counts_alone(tmp_path: Path) -> None:
    environ = written(tmp_path, '[worker]\nticket_file = "below"\n')
    assert worker_config(Source.open({}, environ, "worker")).ticket_file == tmp_path / "below"
    config = worker_config(Source.open({}, environ | {"CONTROL_PLANE_TICKET": "t"}, "worker"))
    assert (config.ticket, config.ticket_file) == ("t", None)
    both = written(tmp_path, '[worker]\nticket = "t"\nticket_file = "below"\n')
    with pytest.raises(Misconfigured, match=r"worker\.ticket and .*worker\.ticket_file are both set"):
        worker_config(Source.open({}, both, "worker"))


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/x")
    text = '[control-plane]\nstate_dir = "state"\nticket_file = "~/t"\ncredentials_file = "/c"\n'
    config = control_plane_config(Source.open({}, written(tmp_path, text), "control-plane"))
    assert config.state_dir == tmp_path / "state"
    assert (config.ticket_file, config.credentials_file) == (Path("/home/x/t"), Path("/c"))


def test_every_setting_of_a_process_has_one_key_in_its_section() -> None:
    for section in settings.IN_SECTIONS.values():
        keys = [setting.key for setting in section]
        assert len(set(keys)) == len(keys)
        assert all(key.isascii() and key.islower() for key in keys)


def test_no_file_is_no_error(tmp_path: Path) -> None:
    assert read_config(tmp_path / "none") is None
    with pytest.raises(Misconfigured, match="cannot read"):
        read_config(tmp_path)


@given(st.text(max_size=60))
def test_any_text_is_a_file_or_misconfigured(text: str) -> None:
    with contextlib.suppress(Misconfigured):
        assert parse_config(Path("/c.toml"), text.encode(errors="surrogatepass")).profile is None
