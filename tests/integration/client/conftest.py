import re

import pytest

from client.__main__ import main
from tests.integration.client.toy_server import ToyServer


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    """The pauses of a loopback connection to a server that is never busy."""
    monkeypatch.setattr("client.run.LEAST_PAUSE_S", 0.02)
    monkeypatch.setattr("client.patience.FIRST_DELAY_S", 0.02)


@pytest.fixture
def toy():
    with ToyServer() as server:
        yield server


@pytest.fixture
def recordings(tmp_path):
    """A function that makes recordings and returns their paths as text."""

    def make(*names, content=b"sound"):
        paths = [tmp_path / "in" / name for name in names]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content + path.name.encode())
        return [str(path) for path in paths]

    return make


class Outcome:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        # The console may have folded nothing, yet colours would hide a word.
        self.err_plain = re.sub(r"\x1b\[[0-9;]*m", "", err)


@pytest.fixture
def client(toy, capfd, monkeypatch):
    """A function that runs one command against the toy server."""
    monkeypatch.delenv("SCRIPTORIUM_SERVER", raising=False)
    monkeypatch.delenv("SCRIPTORIUM_API_KEY", raising=False)

    def run(*arguments, server=None):
        capfd.readouterr()
        code = main([*arguments, "--server", server or toy.url])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
