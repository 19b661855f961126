"""Where the engine is, as settings say it."""

from pathlib import Path

import pytest

from mvm_ci.config.processes import control_plane_config, engine_config, worker_config
from mvm_ci.config.source import Source
from mvm_ci.domain.errors import Misconfigured

HERE = {"HOME": "/home/x", "CONTROL_PLANE_TICKET": "t"}
TOKEN = {"MVM_CI_ENGINE_TOKEN": "secret"}


def test_a_worker_has_its_own_engine_unless_told_otherwise() -> None:
    assert worker_config(Source({}, HERE)).engine is None
    assert worker_config(Source({"engine": "embedded"}, HERE | {"FLAWLESS_URL": "http://e:1"})).engine is None


def test_the_name_that_other_set_ups_use_stands_for_an_address() -> None:
    engine = worker_config(Source({}, HERE | TOKEN | {"FLAWLESS_URL": "http://engine:27288/"})).engine
    assert engine is not None
    assert (engine.url, engine.token.read()) == ("http://engine:27288", "secret")
    other = worker_config(
        Source({}, HERE | TOKEN | {"FLAWLESS_URL": "http://a", "MVM_CI_ENGINE": "http://b"})
    )
    assert other.engine is not None
    assert other.engine.url == "http://b"


def test_by_p2p_no_token_is_needed_over_tcp_one_is() -> None:
    engine = worker_config(Source({"engine": "p2p"}, HERE)).engine
    assert engine is not None
    assert (engine.url, engine.token.given) == (None, False)
    with pytest.raises(Misconfigured, match=r"wants a token: give --engine-token-file"):
        worker_config(Source({"engine": "http://engine"}, HERE))
    with pytest.raises(Misconfigured, match=r"--engine: 'engine:1' is neither embedded, p2p nor an address"):
        worker_config(Source({"engine": "engine:1"}, HERE))


def test_a_token_s_file_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "token"
    engine = worker_config(Source({"engine": "http://e", "engine_token_file": str(file)}, HERE)).engine
    assert engine is not None
    with pytest.raises(Misconfigured, match=f"cannot read {file}"):
        engine.token.read()
    file.write_text("first\n")
    assert engine.token.read() == "first"
    file.write_text("second\n")
    assert engine.token.read() == "second"
    assert "second" not in repr(engine)


def test_a_control_plane_has_no_engine_unless_told() -> None:
    assert control_plane_config(Source({}, HERE)).engine is None
    engine = control_plane_config(Source({"engine": "embedded", "slots": "3"}, HERE)).engine
    assert engine is not None
    assert (engine.bind, engine.guests.slots) == (None, 3)
    with pytest.raises(Misconfigured, match="add --engine embedded"):
        control_plane_config(Source({"engine_bind": "0.0.0.0:27288"}, HERE))


def test_an_engine_listens_on_loopback_unless_told() -> None:
    config = engine_config(Source({}, HERE))
    assert str(config.served.bind) == "127.0.0.1:27288"
    assert not config.served.token.given
    with pytest.raises(Misconfigured, match="needs --engine-tls-cert-file"):
        engine_config(Source({"engine_tls_key_file": "/k"}, HERE))
