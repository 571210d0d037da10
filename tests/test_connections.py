"""Which of Flower's connections are safe, what `fedrlhf run` refuses and what `doctor` names."""

from pathlib import Path

import pytest

import fedrlhf
from fedrlhf.cli import main
from fedrlhf.deploy.connections import Connection, connections, safe_connection
from fedrlhf.errors import ConfigError

CONFIG = """\
[superlink]
default = "site"

[superlink.site]
address = "superlink.example.org:8000"
root-certificates = "{folder}/ca.crt"

[superlink.open]
address = "192.0.2.7:8000"
insecure = true

[superlink.tunnel]
address = "127.0.0.1:8000"
insecure = true

[superlink.local]
address = ":local:"

[superlink.lost]
address = "superlink.example.org:8000"
root-certificates = "/absent/ca.crt"
"""


@pytest.fixture(autouse=True)
def flower_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give Flower a home with these connections."""
    (tmp_path / "ca.crt").write_text("a certificate")
    (tmp_path / "config.toml").write_text(CONFIG.format(folder=tmp_path), "utf-8")
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    return tmp_path


def test_all_are_read(flower_home: Path) -> None:
    """Names, addresses and certificates as they stand in the file; no file, no connections."""
    found = connections()
    assert list(found) == ["site", "open", "tunnel", "local", "lost"]
    assert found["site"] == Connection(
        "site", "superlink.example.org:8000", False, flower_home / "ca.crt")
    (flower_home / "config.toml").unlink()
    assert connections() == {}


@pytest.mark.parametrize(("address", "local"), [
    ("127.0.0.1:8000", True), ("127.8.8.8:1", True), ("localhost:8000", True), ("[::1]:8000", True),
    (":local:", True), (":local-in-memory:", True), ("10.0.0.4:8000", False), ("[::]:8000", False),
    ("0.0.0.0:8000", False), ("localhost.example.org:8000", False), ("[fe80::1]:8000", False),
])
def test_what_stays_on_this_machine(address: str, local: bool) -> None:
    """Loopback addresses and the SuperLinks that Flower starts itself."""
    assert Connection("x", address, True, None).local == local


def test_safe_ones() -> None:
    """With TLS, or insecure on loopback."""
    for name in ("site", "tunnel"):
        assert safe_connection(name).name == name


@pytest.mark.parametrize(("name", "message"), [
    ("open", "192.0.2.7:8000 without TLS"),
    ("lost", "/absent/ca.crt of 'lost' do not exist"),
    ("local", "runtime.superlink=local is a simulation that Flower starts itself"),
    ("nowhere", "no connection of .*config.toml; it has local, lost, open, site, tunnel"),
])
def test_unsafe_ones_are_refused_before_anything_is_sent(name: str, message: str,
                                                         tmp_path: Path) -> None:
    """From the API as from the command line; nothing is made of the run's folder."""
    with pytest.raises(ConfigError, match=message):
        fedrlhf.run(["runtime.engine=deployment", f"runtime.superlink={name}",
                     "runtime.clients=[ann]", f"run.dir={tmp_path / 'run'}"])
    assert not (tmp_path / "run").exists()


def test_a_deployment_needs_a_superlink() -> None:
    """The key is named."""
    with pytest.raises(ConfigError, match="runtime.superlink must name a connection"):
        fedrlhf.run(["runtime.engine=deployment", "runtime.clients=[ann]"])


def test_a_broken_file_is_named(flower_home: Path) -> None:
    """A file that is no TOML."""
    (flower_home / "config.toml").write_text("[superlink", "utf-8")
    with pytest.raises(ConfigError, match=r"config\.toml cannot be read"):
        connections()


def test_doctor_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    """The two faulty connections are bad, the safe one is shown; the exit code is 1."""
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "bad  the connection 'open' goes to 192.0.2.7:8000 without TLS" in text
    assert "bad  the root certificates /absent/ca.crt of 'lost' do not exist" in text
    assert "ok   SuperLink site: superlink.example.org:8000, TLS" in text
    assert "2 thing(s) to mend" in text
