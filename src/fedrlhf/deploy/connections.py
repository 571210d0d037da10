"""The SuperLinks that Flower's command line knows, from config.toml in $FLWR_HOME."""

import ipaddress
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from fedrlhf.errors import ConfigError


@dataclass(frozen=True)
class Connection:
    """A named way to a SuperLink.

    Attributes:
        name: The name in ``[superlink.NAME]``.
        address: ``host:port``, or ``:local:`` and its like for a SuperLink that Flower starts.
        insecure: Without TLS.
        root_certificates: The file by which the SuperLink's certificate is checked.
    """

    name: str
    address: str
    insecure: bool
    root_certificates: Path | None

    @property
    def local(self) -> bool:
        """Whether it stays on this machine: a loopback address, or a SuperLink of Flower's own."""
        if self.address.startswith(":"):
            return True
        host = self.address.rpartition(":")[0].strip("[]")
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def fault(self) -> str | None:
        """Say what is wrong with it, or None."""
        if self.insecure and not self.local:
            return (f"the connection {self.name!r} goes to {self.address} without TLS: adapters "
                    "and the commands that start runs could be read and changed on the way")
        if self.root_certificates and not self.root_certificates.is_file():
            return f"the root certificates {self.root_certificates} of {self.name!r} do not exist"
        return None


def config_file() -> Path:
    """Return Flower's config.toml, which need not exist."""
    return Path(os.environ.get("FLWR_HOME") or "~/.flwr").expanduser() / "config.toml"


def connections() -> dict[str, Connection]:
    """Return all connections by name.

    Raises:
        ConfigError: config.toml cannot be understood.
    """
    path = config_file()
    if not path.exists():
        return {}
    try:
        tables = tomllib.loads(path.read_text("utf-8")).get("superlink", {})
        return {name: _connection(name, table) for name, table in tables.items()
                if isinstance(table, dict) and "address" in table}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def safe_connection(name: str) -> Connection:
    """Return the connection of that name.

    Raises:
        ConfigError: There is none, it is a simulation, or it would send adapters in the clear to
            another machine.
    """
    known = connections()
    if name not in known:
        raise ConfigError(f"runtime.superlink={name} is no connection of {config_file()}; it has "
                          f"{', '.join(sorted(known)) or 'none'}. docs/deploy.md shows the entry")
    if known[name].address.startswith(":"):
        raise ConfigError(f"runtime.superlink={name} is a simulation that Flower starts itself: "
                          "use runtime.engine=flower, or name a SuperLink with sites")
    if fault := known[name].fault():
        raise ConfigError(f"{config_file()}: {fault}")
    return known[name]


def _connection(name: str, table: dict[str, object]) -> Connection:
    certificates = table.get("root-certificates")
    return Connection(name, str(table["address"]), bool(table.get("insecure", False)),
                      Path(str(certificates)).expanduser() if certificates else None)
