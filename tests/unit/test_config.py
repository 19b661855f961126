"""Settings: flag over environment over default; secrets only from where they may come; clear words."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.config import parsers, settings
from mvm_ci.config.client import client_config
from mvm_ci.config.credentials import Credentials, read_credentials, write_credentials
from mvm_ci.config.processes import (
    control_plane_config,
    debug,
    dev_config,
    log_config,
    worker_config,
)
from mvm_ci.config.settings import Setting
from mvm_ci.config.source import Source
from mvm_ci.domain.errors import Misconfigured

ROOT = Path(__file__).resolve().parents[2]
ALL: dict[int, Setting[Any]] = {
    id(setting): setting
    for group in (
        settings.CLIENT,
        settings.FILE,
        settings.LOGGING,
        settings.CONTROL_PLANE,
        settings.WORKER,
        settings.ENGINE,
        settings.DEV,
        settings.BUILD,
        settings.REPLAY,
    )
    for setting in group
}
EXAMPLES: dict[str, tuple[str, str, str]] = {
    # variable: flag's text, variable's text, wrong text
    "MVM_CI_URL": ("http://a.test", "https://b.test:1/x", "ftp://c.test"),
    "MVM_CI_LOG_LEVEL": ("debug", "error", "loud"),
    "MVM_CI_LOG_FORMAT": ("json", "human", "xml"),
    "MVM_CI_BIND": ("127.0.0.1:1", "[::1]:2", "127.0.0.1"),
    "MVM_CI_P2P_BIND": ("127.0.0.1:1", "0.0.0.0:0", "x:99999"),
    "MVM_CI_LEASE": ("5s", "1m", "0.5"),
    "MVM_CI_MAX_JOBS": ("1", "5000", "0"),
    "MVM_CI_MIN_FREE": ("0", "2GiB", "1.5GiB"),
    "MVM_CI_KEEP_JOBS_FOR": ("7d", "forever", "0s"),
    "MVM_CI_KEEP_JOBS": ("1", "all", "0"),
    "MVM_CI_KEEP_MODULES_FOR": ("7d", "forever", "later"),
    "MVM_CI_KEEP_EVENTS_FOR": ("1d", "forever", "never"),
    "MVM_CI_KEEP_EVENTS": ("1", "all", "0"),
    "MVM_CI_KEEP_JOBS_SIZE": ("500MiB", "all", "20GB"),
    "MVM_CI_KEEP_JOURNALS_FOR": ("7d", "forever", "0s"),
    "MVM_CI_KEEP_KEYS_FOR": ("7d", "forever", "0s"),
    "MVM_CI_KEEP_AUDIT_FOR": ("7d", "forever", "0s"),
    "CONTROL_PLANE_TICKET": ("ticket-a", "ticket-b", "two\nlines"),
    "MVM_CI_WORKER_NAME": ("one", "two", "\x1b[2J"),
    "MVM_CI_WORKER_P2P_BIND": ("127.0.0.1:1", "0.0.0.0:0", ":1"),
    "MVM_CI_P2P_EXTERNAL": ("203.0.113.1:1", "[2001:db8::1]:2", "203.0.113.1"),
    "MVM_CI_WORKER_P2P_EXTERNAL": ("203.0.113.1:1", "[2001:db8::1]:2", "203.0.113.1"),
    "MVM_CI_SLOTS": ("1", "64", "0"),
    "MVM_CI_GRACE": ("0s", "1h", "-1s"),
}


@pytest.mark.parametrize("variable", EXAMPLES)
def test_flag_beats_environment_beats_default(variable: str) -> None:
    setting = next(setting for setting in ALL.values() if setting.env == variable)
    flag, environment, wrong = EXAMPLES[variable]
    flags, environ = {setting.key: flag}, {variable: environment}
    assert Source(flags, environ).get(setting) == setting.parse(flag)
    assert Source({setting.key: None}, environ).get(setting) == setting.parse(environment)
    assert Source({}, {}).get(setting) is None
    assert Source({}, {variable: ""}).get(setting) is None
    for source, where in (
        (Source({setting.key: wrong}, environ), setting.flag),
        (Source({}, {variable: wrong}), variable),
    ):
        with pytest.raises(Misconfigured, match=f"^{where}: "):
            source.get(setting)


@pytest.mark.parametrize("setting", ALL.values(), ids=lambda setting: str(setting.env))
def test_a_default_that_is_a_value_can_be_parsed(setting: Setting[Any]) -> None:
    if not setting.default.startswith(("$", "of ", "none", "the ", "one ", "in ", "made ")):
        assert Source({}, {}).value(setting) == setting.parse(setting.default)


@pytest.mark.parametrize("setting", settings.LISTS, ids=lambda setting: str(setting.env))
def test_lists(setting: Setting[Any]) -> None:
    first, second = {
        id(settings.ALLOW_NETWORK): ("10.0.0.0/8", "::1/128"),
        id(settings.ALLOW_HOST): ("a.test", "*.b.test:8080"),
        id(settings.RELAY): ("http://10.0.0.1:3340", "https://relay.test"),
        id(settings.LABEL): ("os=linux", "gpu"),
    }[id(setting)]
    environ = {str(setting.env): f" {first}, {second},"}
    assert Source({setting.key: ()}, environ).all(setting) == (first, second)
    assert Source({setting.key: (second,)}, environ).all(setting) == (second,)
    with pytest.raises(Misconfigured, match=f"^{setting.flag}: "):
        Source({setting.key: ("not/a host",)}, environ).all(setting)


@pytest.mark.parametrize("setting", settings.SECRETS, ids=lambda setting: str(setting.env))
def test_secrets_come_from_files_or_the_environment(
    setting: Setting[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_text("from-a\n")
    other.write_text("from-b\n")
    variable, twin = str(setting.env), f"{setting.env}_FILE"
    assert Source({setting.key: str(file)}, {twin: str(other)}).secret(setting) == "from-a"
    assert Source({}, {twin: str(other)}).secret(setting) == "from-b"
    assert Source({}, {variable: "plain"}).secret(setting) == "plain"
    assert Source({}, {}).secret(setting) is None
    monkeypatch.setattr(sys, "stdin", io.StringIO("from-stdin\n"))
    assert Source({setting.key: "-"}, {}).secret(setting) == "from-stdin"
    with pytest.raises(Misconfigured, match="both set"):
        Source({}, {variable: "plain", twin: str(other)}).secret(setting)
    with pytest.raises(Misconfigured, match="No such file"):
        Source({}, {twin: str(tmp_path / "none")}).secret(setting)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"a\nhidden-b", b"hidden\xff", b"hidden" * 1000, b"\x00hidden"]
)
def test_a_file_without_a_token_never_shows_what_it_holds(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(Misconfigured) as caught:
        Source({"token_file": str(file)}, {}).secret(settings.TOKEN)
    assert str(file) in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_wrong_secret_in_the_environment_is_not_shown() -> None:
    with pytest.raises(Misconfigured) as caught:
        Source({}, {"MVM_CI_TOKEN": "secret\x00"}).secret(settings.TOKEN)
    assert "secret" not in str(caught.value)


@given(
    st.integers(0, 10**6), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)])
)
def test_durations(number: int, unit: tuple[str, float]) -> None:
    assert parsers.duration(f"{number}{unit[0]}") == pytest.approx(number * unit[1])


@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from(["d", "h", "m", "s", "ms"])), min_size=1, max_size=7
    )
)
def test_a_duration_has_each_unit_once_the_largest_first(parts: list[tuple[int, str]]) -> None:
    units = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
    text = "".join(f"{number}{unit}" for number, unit in parts)
    order = [list(units).index(unit) for _, unit in parts]
    if order == sorted(set(order)):
        assert parsers.duration(text) == pytest.approx(sum(number * units[unit] for number, unit in parts))
    else:
        with pytest.raises(ValueError, match="is not a duration"):
            parsers.duration(text)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("0.5", 0.5), (" 1h30m ", 5400), ("1.5h", 5400)])
def test_a_number_alone_is_seconds(text: str, seconds: float) -> None:
    assert parsers.duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "1 h", "-1s", "1e3", "inf", "٣s", "9" * 400, "9" * 400 + "d", "30m1h"]
)
def test_other_words_are_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parsers.duration(text)


@given(st.text(max_size=30))
def test_parsers_raise_only_value_errors(text: str) -> None:
    for setting in ALL.values():
        with contextlib.suppress(ValueError):
            setting.parse(text)


@pytest.mark.parametrize(
    "url", ["http://user:pw@a.test", "http://a.test?token=x", "http://", "a.test", "http://[", "http://a:x"]
)
def test_an_address_carries_no_secret(url: str) -> None:
    with pytest.raises(ValueError, match=r"address|token"):
        parsers.base_url(url)


def test_credentials_file(tmp_path: Path) -> None:
    file = tmp_path / "new" / "credentials.json"
    assert read_credentials(file) is None
    write_credentials(file, Credentials("http://a.test", "secret"))
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_credentials(file) == Credentials("http://a.test", "secret")
    assert "secret" not in repr(read_credentials(file))
    file.chmod(0o640)
    with pytest.raises(Misconfigured, match="chmod 600"):
        read_credentials(file)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"url": 1, "token": "t"}', '{"url": "u", "token": ""}', "\x00"]
)
def test_a_credentials_file_of_something_else(content: str, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(Misconfigured, match="is not JSON with url and token"):
        read_credentials(file)


def test_a_file_that_cannot_be_written_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="cannot write"):
        write_credentials(tmp_path / "file" / "below", Credentials("u", "t"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(Misconfigured, match="cannot write"):
        write_credentials(tmp_path / "folder", Credentials("u", "t"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.fixture
def stored(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "credentials.json"
    write_credentials(file, Credentials("http://stored.test", "stored-token"))
    return {"MVM_CI_CREDENTIALS": str(file)}


def test_the_client_uses_the_stored_credentials(stored: dict[str, str]) -> None:
    assert client_config(Source({}, stored)) == Credentials("http://stored.test", "stored-token")
    with_token = stored | {"MVM_CI_TOKEN": "other"}
    assert client_config(Source({}, with_token)) == Credentials("http://stored.test", "other")
    same = {"url": "http://stored.test/"}
    assert client_config(Source(same, stored)) == Credentials("http://stored.test", "stored-token")


def test_a_stored_token_goes_to_no_other_server(stored: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match=r"is for http://stored\.test, not for http://other\.test"):
        client_config(Source({"url": "http://other.test"}, stored))


def test_the_client_says_what_is_missing(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(Misconfigured, match="no address"):
        client_config(Source({}, environ))
    with pytest.raises(Misconfigured, match="no token"):
        client_config(Source({"url": "http://a.test"}, environ))


@pytest.mark.parametrize(
    ("flags", "environ", "expected"),
    [
        ({"ticket": "a"}, {}, ("a", None)),
        ({"ticket_file": "/f"}, {}, (None, Path("/f"))),
        ({}, {"CONTROL_PLANE_TICKET": "a"}, ("a", None)),
        ({}, {"MVM_CI_TICKET_FILE": "/f"}, (None, Path("/f"))),
        ({"ticket": "a"}, {"MVM_CI_TICKET_FILE": "/f"}, ("a", None)),
        ({"ticket_file": "/f"}, {"CONTROL_PLANE_TICKET": "a"}, (None, Path("/f"))),
    ],
)
def test_where_the_ticket_comes_from(
    flags: dict[str, str], environ: dict[str, str], expected: tuple[str | None, Path | None]
) -> None:
    config = worker_config(Source(flags, environ | {"HOME": "/home/x"}))
    assert (config.ticket, config.ticket_file) == expected


@pytest.mark.parametrize(
    ("flags", "environ", "words"),
    [
        ({}, {}, "no ticket"),
        ({"ticket": "a", "ticket_file": "/f"}, {}, "both set"),
        ({}, {"CONTROL_PLANE_TICKET": "a", "MVM_CI_TICKET_FILE": "/f"}, "both set"),
    ],
)
def test_a_worker_needs_one_ticket(flags: dict[str, str], environ: dict[str, str], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        worker_config(Source(flags, environ | {"HOME": "/home/x"}))


def test_state_directories() -> None:
    home = {"HOME": "/home/x"}
    assert control_plane_config(Source({}, home)).state_dir == Path(
        "/home/x/.local/state/mvm-ci/control-plane"
    )
    xdg = home | {"XDG_STATE_HOME": "/state", "XDG_CONFIG_HOME": "/config"}
    assert dev_config(Source({}, xdg)).state_dir == Path("/state/mvm-ci/dev")
    assert dev_config(Source({}, xdg)).credentials == Path("/config/mvm-ci/credentials.json")
    relative = home | {"XDG_STATE_HOME": "relative/is/ignored"}
    assert dev_config(Source({}, relative)).state_dir == Path("/home/x/.local/state/mvm-ci/dev")
    assert control_plane_config(Source({"state_dir": "/there"}, {})).state_dir == Path("/there")
    # Runner processes work elsewhere: a relative path would mean another place to them.
    here = control_plane_config(Source({"state_dir": "here"}, {})).state_dir
    assert here == Path.cwd() / "here"
    with pytest.raises(Misconfigured, match="give --state-dir"):
        control_plane_config(Source({}, {}))


@pytest.mark.parametrize("made", [control_plane_config, worker_config])
def test_no_relay_is_used_unless_one_is_named(made: Callable[[Source], Any]) -> None:
    base = {"HOME": "/h", "CONTROL_PLANE_TICKET": "t"}

    def relays(*typed: str) -> tuple[tuple[str, ...], bool]:
        peer = made(Source({"relay": typed}, base)).p2p
        return peer.relays, peer.public_relays

    assert relays() == ((), False)
    assert relays("http://a.test:1", "https://b.test/") == (("http://a.test:1", "https://b.test"), False)
    assert relays("public") == ((), True)
    with pytest.raises(Misconfigured, match="'public' stands alone"):
        relays("public", "http://a.test")
    with pytest.raises(Misconfigured, match="nor 'public'"):
        relays("Public")


def test_secrets_are_not_in_what_is_printed() -> None:
    config = worker_config(Source({"ticket": "t"}, {"HOME": "/h", "MVM_CI_JOIN_TOKEN": "mvm_join_secret"}))
    assert config.join_token == "mvm_join_secret"
    assert "secret" not in repr(config)


def test_logging_and_debug() -> None:
    assert log_config(Source({}, {})).level == "info"
    assert [debug({}), debug({"MVM_CI_DEBUG": "1"}), debug({"MVM_CI_DEBUG": "maybe"})] == [False, True, False]


def test_every_setting_is_documented_as_it_is() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    rows = re.findall(r"^\| (`--[a-z0-9-]+`|) \| (.+?) \| `?(.+?)`? \| (.+) \|$", page, re.MULTILINE)
    documented = {
        (flag.strip("`"), variables.replace("`", ""), default, about)
        for flag, variables, default, about in rows
    }
    expected = {
        (
            setting.flag or "",
            f"{setting.env}, {setting.env}_FILE" if setting in settings.SECRETS else str(setting.env),
            setting.default,
            setting.about,
        )
        for setting in ALL.values()
    }
    assert documented == expected


def test_what_a_control_plane_takes_is_by_default_what_its_settings_say() -> None:
    from mvm_ci.control_plane.settings import ControlPlaneSettings

    plane = ControlPlaneSettings()
    assert settings.MAX_JOBS.parse(settings.MAX_JOBS.default) == plane.max_jobs
    assert settings.MIN_FREE.parse(settings.MIN_FREE.default) == plane.min_free_bytes


@pytest.mark.parametrize(
    ("text", "bytes_"), [("0", 0), ("2KiB", 2048), ("256MiB", 1 << 28), ("1TiB", 1 << 40)]
)
def test_sizes(text: str, bytes_: int) -> None:
    assert settings.MIN_FREE.parse(text) == bytes_


@pytest.mark.parametrize("text", ["", "1.5GiB", "-1", "7", "10MB", "GiB", "1 MiB", "9" * 30])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        settings.MIN_FREE.parse(text)
