import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from audio.child import MAX_ADDRESS_SPACE_BYTES, MAX_OPEN_FILES, run_child
from domain.errors import AudioDecodeTimeout, ConfigurationError, Stopped, StorageError


@pytest.fixture
def program(tmp_path):
    """Write a shell script that stands in for ffmpeg."""

    def write(script):
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return write


def run(command, **options):
    output, log = bytearray(), bytearray()
    settings = {"timeout_s": 20, "on_output": output.extend, "on_log": log.extend, **options}
    code = run_child([command], **settings)
    return code, bytes(output), bytes(log)


def test_both_pipes_are_read_to_their_ends(program):
    command = program("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 3")

    code, output, log = run(command)

    assert (code, len(output), len(log)) == (3, 300_000, 300_000)


def test_a_program_that_is_not_there_is_a_fault_of_the_settings(tmp_path):
    with pytest.raises(ConfigurationError):
        run(str(tmp_path / "missing"))


def test_past_the_deadline_the_whole_group_is_killed(program, tmp_path):
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    command = program(f"sleep 60 > {held} & echo started > {held}; wait")

    with pytest.raises(AudioDecodeTimeout):
        run(command, timeout_s=0.5)

    assert read_until_closed(reader) == b"started\n"


def test_a_stop_request_kills_the_whole_group(program, tmp_path):
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    command = program(f"sleep 60 > {held} & echo started > {held}; echo ready; cat /dev/zero")
    output = bytearray()

    with pytest.raises(Stopped):
        run(command, on_output=output.extend, should_stop=lambda: bool(output))

    assert read_until_closed(reader) == b"started\n"


def read_until_closed(reader):
    """Everything written until the last writer is dead; fails when one lives on."""
    content = b""
    while select.select([reader], [], [], 10)[0]:
        data = os.read(reader, 100)
        if not data:
            os.close(reader)
            return content
        content += data
    raise AssertionError("a process of the group is still alive")


def test_an_error_in_the_reader_ends_the_program(program):
    def refuse(_):
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        run(program("cat /dev/zero"), on_output=refuse)


def test_a_kill_from_outside_is_a_passing_fault(program):
    with pytest.raises(AudioDecodeTimeout) as caught:
        run(program("kill -KILL $$"))

    assert caught.value.is_transient


def test_a_crash_is_reported_as_its_signal(program):
    code, _, _ = run(program("kill -SEGV $$"))

    assert code == -11


# The limits come from outside, one by one: waited for are the last two. Either of them alone may
# be what this machine allows anyhow.
LIMITED = 'while [ "$(ulimit -c)" != 0 ] || [ "$(ulimit -f)" != 0 ]; do :; done'


def test_the_limits_hold_soon_after_the_start(program):
    _, output, _ = run(program(f"{LIMITED}; ulimit -v"))

    assert int(output) * 1024 == MAX_ADDRESS_SPACE_BYTES


def test_few_files_can_be_open(program):
    _, output, _ = run(program(f"{LIMITED}; ulimit -n"))

    assert int(output) == MAX_OPEN_FILES


def test_no_file_can_be_written(program, tmp_path):
    target = tmp_path / "target"

    run(program(f"{LIMITED}; head -c 5000 /dev/zero > {target}"))

    assert target.stat().st_size == 0


def test_nothing_of_our_environment_reaches_the_program(program, monkeypatch):
    monkeypatch.setenv("ADMIN_API_KEY", "a-secret-value")
    monkeypatch.setenv("http_proxy", "http://proxy")

    _, output, _ = run(program("env"))

    assert b"LC_ALL=C" in output
    assert b"secret" not in output
    assert b"proxy" not in output


def test_the_program_has_an_empty_folder_of_its_own_that_goes_with_it(program):
    _, output, _ = run(program('pwd; echo "$TMPDIR"; stat -c %a .; ls -A'))

    working, temporary, mode, *entries = output.decode().splitlines()
    assert working == temporary
    assert (mode, entries) == ("700", [])
    assert not Path(working).exists()


def test_the_folder_goes_when_the_program_is_killed(program):
    output = bytearray()

    with pytest.raises(Stopped):
        run(
            program("pwd; cat /dev/zero >&2"),
            on_output=output.extend,
            should_stop=lambda: bool(output),
        )

    assert not Path(output.decode().strip()).exists()


def test_without_a_place_for_the_folder_the_work_is_put_off(program, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))

    with pytest.raises(StorageError) as caught:
        run(program("true"))

    assert caught.value.is_transient


CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def has_caller(listener):
    return bool(select.select([listener], [], [], 0)[0])


def test_the_program_cannot_reach_a_server_that_others_reach(listener):
    command = [sys.executable, "-c", CONNECT, str(listener.getsockname()[1])]
    log = bytearray()

    code = run_child(command, timeout_s=20, on_output=log.extend, on_log=log.extend)

    assert code == 1
    assert b"PermissionError" in log
    assert not has_caller(listener)
    subprocess.run(command, check=True)
    assert has_caller(listener)


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"])
def test_the_program_gets_no_socket_of_any_family(family):
    command = [sys.executable, "-c", f"import socket; socket.socket(socket.{family})"]
    log = bytearray()

    code = run_child(command, timeout_s=20, on_output=log.extend, on_log=log.extend)

    assert code == 1
    assert b"Operation not permitted" in log


def test_what_the_program_starts_gets_no_socket_either(program):
    command = program(f"{sys.executable} -c 'import socket; socket.socket()'")

    code, _, log = run(command)

    assert code == 1
    assert b"Operation not permitted" in log


def test_this_process_keeps_its_network(program, listener):
    run(program("true"))

    socket.create_connection(listener.getsockname(), 5).close()

    assert has_caller(listener)
