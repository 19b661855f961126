"""Where the command line sends requests: address and token, each from the first place that has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvm_ci.config.client import client_config
from mvm_ci.config.credentials import Credentials, write_credentials
from mvm_ci.config.processes import dev_config
from mvm_ci.config.profiles import add_profile, remove_profile, use_profile
from mvm_ci.config.source import Source
from mvm_ci.domain.errors import Conflict, Misconfigured, NotFound

ONE, TWO = Credentials("http://one.test", "token-one"), Credentials("http://two.test", "token-two")
STORED = Credentials("http://stored.test", "token-stored")
PROFILES = (
    '[profiles.one]\nurl = "http://one.test"\ntoken = "token-one"\n\n'
    '[profiles.two]\nurl = "http://two.test/"\ntoken_file = "two.token"\n'
)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "mvm-ci"
    write_credentials(folder / "credentials.json", STORED)
    (folder / "two.token").write_text("token-two\n")
    put(tmp_path, PROFILES)
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def put(folder: Path, text: str) -> Path:
    file = folder / "mvm-ci" / "config.toml"
    file.write_text(text)
    file.chmod(0o600)
    return file


def asked(flags: dict[str, str], environ: dict[str, str]) -> Credentials:
    return client_config(Source.open(flags, environ))


def test_a_profile_is_chosen_by_flag_variable_or_file(environ: dict[str, str], tmp_path: Path) -> None:
    assert asked({}, environ) == STORED
    assert asked({"profile": "two"}, environ) == TWO
    assert asked({}, environ | {"MVM_CI_PROFILE": "one"}) == ONE
    assert asked({"profile": "two"}, environ | {"MVM_CI_PROFILE": "one"}) == TWO
    put(tmp_path, f'profile = "one"\n{PROFILES}')
    assert asked({}, environ) == ONE
    assert asked({}, environ | {"MVM_CI_PROFILE": "two"}) == TWO


def test_a_profile_that_was_typed_beats_the_environment(environ: dict[str, str]) -> None:
    set_before = environ | {"MVM_CI_URL": "http://other.test", "MVM_CI_TOKEN": "other"}
    assert asked({"profile": "two"}, set_before) == TWO
    assert asked({}, set_before | {"MVM_CI_PROFILE": "two"}) == Credentials("http://other.test", "other")


def test_a_credentials_file_that_is_named_beats_the_profile_of_the_file(
    environ: dict[str, str], tmp_path: Path
) -> None:
    put(tmp_path, f'profile = "one"\n{PROFILES}')
    named = environ | {"MVM_CI_CREDENTIALS": str(tmp_path / "mvm-ci" / "credentials.json")}
    assert asked({}, named) == STORED
    assert asked({"profile": "two"}, named) == TWO


def test_the_token_of_a_profile_goes_to_its_own_address_alone(
    environ: dict[str, str], tmp_path: Path
) -> None:
    assert asked({"profile": "two", "url": "http://two.test"}, environ) == TWO
    with pytest.raises(Misconfigured, match=r"two\.token_file is for http://two\.test, not for http://other"):
        asked({"profile": "two", "url": "http://other.test"}, environ)
    put(tmp_path, f'profile = "one"\n{PROFILES}')
    assert asked({"url": "http://stored.test"}, environ) == STORED
    with pytest.raises(Misconfigured, match=r"profiles\.one\.token is for http://one\.test"):
        asked({"url": "http://other.test"}, environ)


def test_a_profile_that_is_not_there_is_said_with_one_that_is(
    environ: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured, match=r"^--profile: there is no profile 'twoo' .*did you mean two\?"):
        asked({"profile": "twoo"}, environ)
    with pytest.raises(Misconfigured, match=r"^MVM_CI_PROFILE: .*no configuration file"):
        asked({}, {"XDG_CONFIG_HOME": str(tmp_path / "other"), "MVM_CI_PROFILE": "two"})


def test_dev_leaves_the_command_line_to_the_profile_in_use(environ: dict[str, str], tmp_path: Path) -> None:
    environ["HOME"] = str(tmp_path)
    assert dev_config(Source.open({}, environ, "dev")).profile is None
    put(tmp_path, f'profile = "one"\n{PROFILES}')
    assert dev_config(Source.open({}, environ, "dev")).profile == "one"
    named = environ | {"MVM_CI_CREDENTIALS": str(tmp_path / "c.json")}
    assert dev_config(Source.open({}, named, "dev")).profile is None


def test_profiles_are_added_chosen_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "config.toml"
    environ = {"MVM_CI_CONFIG": str(path)}
    token = tmp_path / "a.token"
    token.write_text("token-a\n")
    monkeypatch.chdir(tmp_path)
    add_profile(path, "a", "http://a.test/", "a.token")
    add_profile(path, "b", "http://b.test", None)
    assert path.stat().st_mode & 0o777 == 0o600
    use_profile(path, "b")
    use_profile(path, "a")
    assert asked({}, environ) == Credentials("http://a.test", "token-a")
    remove_profile(path, "a")
    assert path.read_text() == '[profiles.b]\nurl = "http://b.test"\n'
    remove_profile(path, "b")
    assert path.read_text() == ""
    assert token.exists()


def test_what_a_person_wrote_in_the_file_stays(environ: dict[str, str], tmp_path: Path) -> None:
    text = f'# mine\nprofile = "one" # now\n\n{PROFILES}\n# the worker\n[worker]\nslots = 1 # few\n'
    path = put(tmp_path, text)
    add_profile(path, "three", "http://three.test", None)
    assert path.read_text() == f'{text}\n[profiles.three]\nurl = "http://three.test"\n'
    remove_profile(path, "two")
    remove_profile(path, "three")
    assert path.read_text() == text.replace(PROFILES[PROFILES.index("[profiles.two") :] + "\n", "")
    use_profile(path, "one")
    assert path.read_text().startswith('profile = "one"\n\n# mine\n')


def test_a_link_to_the_file_stays_a_link(environ: dict[str, str], tmp_path: Path) -> None:
    path = put(tmp_path, PROFILES)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    use_profile(link, "one")
    assert link.is_symlink()
    assert path.read_text().startswith('profile = "one"\n')


def test_a_file_for_all_to_read_becomes_private_with_its_first_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[worker]\nslots = 1\n")
    path.chmod(0o644)
    add_profile(path, "a", "http://a.test", None)
    assert path.stat().st_mode & 0o777 == 0o644
    monkeypatch.setattr("sys.stdin.read", lambda _: 'token-"b"\n', raising=False)
    add_profile(path, "b", "http://b.test", "-")
    assert path.stat().st_mode & 0o777 == 0o600
    found = asked({"profile": "b"}, {"MVM_CI_CONFIG": str(path)})
    assert found == Credentials("http://b.test", 'token-"b"')


@pytest.mark.parametrize(
    "text",
    [
        'profiles = {one = {url = "http://one.test"}}\n',
        '[profiles]\none = {url = "http://one.test"}\n',
        '[profiles."one"]\nurl = "http://one.test"\n',
        'profiles.one.url = "http://one.test"\n',
    ],
)
def test_a_file_that_cannot_be_changed_line_by_line_is_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(Misconfigured, match="edit it by hand"):
        remove_profile(path, "one")
    assert path.read_text() == text


def test_what_cannot_be_done_with_a_profile_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    with pytest.raises(NotFound, match="there is no file"):
        use_profile(path, "a")
    add_profile(path, "a", "http://a.test", None)
    with pytest.raises(Conflict, match="remove it first"):
        add_profile(path, "a", "http://b.test", None)
    with pytest.raises(NotFound, match="did you mean a"):
        remove_profile(path, "aa")
    with pytest.raises(Misconfigured, match="not a profile's name"):
        add_profile(path, "a.b", "http://a.test", None)
    with pytest.raises(Misconfigured, match=r"^--url: "):
        add_profile(path, "c", "nowhere", None)
