"""`<data_dir>/run/server.json`: how other commands find the server that runs here."""

import json
import os
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path

from embedded.credentials import write_private
from embedded.process import is_alive

HEALTH_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class ServerFile:
    """A running server: its address, and the process that stops it."""

    url: str
    pid: int


def server_file_path(data_dir: Path) -> Path:
    """Where the server of this data folder is noted."""
    return data_dir / "run" / "server.json"


def write_server_file(data_dir: Path, url: str) -> None:
    """Note that this process serves `url`."""
    content = asdict(ServerFile(url=url, pid=os.getpid()))
    write_private(server_file_path(data_dir), json.dumps(content) + "\n")


def read_server_file(data_dir: Path) -> ServerFile | None:
    """The noted server when its process is alive, else None."""
    try:
        content = json.loads(server_file_path(data_dir).read_text())
        noted = ServerFile(url=str(content["url"]), pid=int(content["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return noted if is_alive(noted.pid) else None


def is_healthy(url: str) -> bool:
    """Say whether a server answers 200 at `url`/health."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=HEALTH_TIMEOUT_S) as answer:  # noqa: S310 - our own address # nosec B310
            return bool(answer.status == HTTPStatus.OK)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def find_server(data_dir: Path) -> ServerFile | None:
    """The running server of this data folder, if it is there and answers."""
    noted = read_server_file(data_dir)
    return noted if noted is not None and is_healthy(noted.url) else None
