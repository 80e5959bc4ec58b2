"""The key of the server that `make up` started on this machine."""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from client.api import is_loopback

ROOT = Path(__file__).resolve().parent.parent


def find_local_key(address: str, data_dir: Path) -> str | None:
    """The key of the server at this address, when it is the one that runs on this data folder.

    Nobody else is sent it: not another address, and not what took the port of a dead server.
    """
    folder = ROOT / data_dir  # as the server reads a relative one
    try:
        noted = json.loads((folder / "run" / "server.json").read_text())
        if not _is_same(address, str(noted["url"])):
            return None
        os.kill(int(noted["pid"]), 0)  # raises ProcessLookupError when it is gone
        return (folder / "api-key").read_text().strip() or None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_same(address: str, noted: str) -> bool:
    """Whether two addresses name one server: by the same words, or both this machine's port."""
    if address == noted:
        return True
    is_here = is_loopback(address) and is_loopback(noted)
    return is_here and urlsplit(address).port == urlsplit(noted).port
