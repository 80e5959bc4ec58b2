import json
import os
import subprocess
import sys

import pytest

from client.local_key import find_local_key

URL = "http://127.0.0.1:8123"


@pytest.fixture
def serve(tmp_path):
    """Note a server of this data folder, as `make up` does."""

    def note(url=URL, pid=None):
        (tmp_path / "run").mkdir(exist_ok=True)
        content = {"url": url, "pid": os.getpid() if pid is None else pid}
        (tmp_path / "run" / "server.json").write_text(json.dumps(content))
        (tmp_path / "api-key").write_text("sesame\n")

    return note


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("address", [URL, "http://localhost:8123", "http://[::1]:8123"])
def test_the_server_that_runs_here_is_sent_its_own_key(serve, tmp_path, address):
    serve()

    assert find_local_key(address, tmp_path) == "sesame"


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:8124", "http://example.test:8123", "http://127.0.0.1.example.test:8123"],
)
def test_another_server_is_sent_nothing(serve, tmp_path, address):
    serve()

    assert find_local_key(address, tmp_path) is None


def test_what_took_the_port_of_a_dead_server_is_sent_nothing(serve, tmp_path, dead_pid):
    serve(pid=dead_pid)

    assert find_local_key(URL, tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": 1, "pid": "x"}'])
def test_a_damaged_note_is_no_error(serve, tmp_path, content):
    serve()
    (tmp_path / "run" / "server.json").write_text(content)

    assert find_local_key(URL, tmp_path) is None


def test_without_a_server_there_is_no_key(tmp_path):
    assert find_local_key(URL, tmp_path) is None
