import os
import stat
import subprocess
import sys

from embedded.server_file import (
    find_server,
    read_server_file,
    server_file_path,
    write_server_file,
)


def test_a_noted_server_is_read_back(tmp_path):
    (tmp_path / "run").mkdir()

    write_server_file(tmp_path, "http://127.0.0.1:8000")

    noted = read_server_file(tmp_path)
    assert noted is not None
    assert noted.url == "http://127.0.0.1:8000"
    assert noted.pid == os.getpid()
    assert stat.S_IMODE(server_file_path(tmp_path).stat().st_mode) == 0o600


def test_a_note_of_a_process_that_is_gone_counts_as_none(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "run").mkdir()
    server_file_path(tmp_path).write_text(f'{{"url": "http://127.0.0.1:1", "pid": {gone.pid}}}')

    assert read_server_file(tmp_path) is None


def test_a_noted_server_that_does_not_answer_is_not_found(tmp_path):
    (tmp_path / "run").mkdir()
    write_server_file(tmp_path, "http://127.0.0.1:1")

    assert find_server(tmp_path) is None


def test_no_note_and_a_damaged_note_are_no_server(tmp_path):
    assert read_server_file(tmp_path) is None
    (tmp_path / "run").mkdir()
    server_file_path(tmp_path).write_text("{}")

    assert read_server_file(tmp_path) is None
