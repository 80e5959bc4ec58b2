import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.client.toy_server import RUNNING

ROOT = Path(__file__).parents[3]


@pytest.fixture
def start_client(toy):
    processes = []

    def start(*arguments, stdin=subprocess.DEVNULL):
        environment = {**os.environ, "SCRIPTORIUM_SERVER": toy.url, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "client", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_cancels_every_running_job_and_says_so(
    toy, start_client, recordings, number, exit_code
):
    toy.default_plan = [RUNNING]
    toy.holds_answers_s = 30.0
    process = start_client("transcribe", *recordings("a.mp3", "b.mp3"))
    toy.wait_until(lambda: len([r for r in toy.seen("GET") if "wait" in r.query]) == 2)

    process.send_signal(number)
    _, err = process.communicate(timeout=20)

    assert process.returncode == exit_code
    assert sorted(toy.cancelled) == sorted(toy.jobs)
    assert "2 jobs cancelled" in err


def test_a_second_signal_leaves_at_once_and_names_what_is_left(toy, start_client, recordings):
    toy.default_plan = [RUNNING]
    toy.holds_answers_s = 30.0
    toy.delete_waits_s = 30.0
    process = start_client("transcribe", *recordings("a.mp3"))
    toy.wait_until(lambda: [r for r in toy.seen("GET") if "wait" in r.query])
    process.send_signal(signal.SIGINT)
    toy.wait_until(lambda: toy.seen("DELETE"))

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)

    (job_id,) = toy.jobs
    assert process.returncode == 130
    assert f"still on the server: {job_id}" in err


def test_an_upload_accepted_while_leaving_is_cancelled_too(toy, start_client, recordings):
    toy.put_waits = True
    process = start_client("transcribe", *recordings("a.mp3"))
    toy.wait_until(lambda: toy.seen("PUT"))

    process.send_signal(signal.SIGINT)
    toy.let_go()
    _, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert toy.cancelled == list(toy.jobs)
    assert "1 job cancelled" in err


def test_an_upload_that_is_stuck_does_not_hold_up_leaving(start_client, recordings):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        large = recordings("a.mp3", content=b"x" * 30_000_000)
        process = start_client("transcribe", "--server", address, *large)
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)

            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)

    assert process.returncode == 130


def test_standard_input_is_sent_under_the_name_given(toy, start_client):
    process = start_client("transcribe", "-", "--filename", "call.opus", stdin=subprocess.PIPE)

    out, _ = process.communicate("sound from a pipe", timeout=20)

    (job,) = toy.jobs.values()
    assert (process.returncode, out) == (0, "text of call.opus\n")
    assert job.body == b"sound from a pipe"


def test_a_reader_that_leaves_ends_the_run_and_cancels_the_rest(toy, start_client, recordings):
    toy.plans["b.mp3"] = [RUNNING]
    toy.results_wait = True
    toy.holds_answers_s = 30.0
    process = start_client("transcribe", *recordings("a.mp3", "b.mp3"))
    toy.wait_until(lambda: [r for r in toy.seen("GET") if "wait" in r.query])

    process.stdout.close()
    toy.let_go()
    process.wait(timeout=20)

    assert process.returncode == 1
    assert [toy.jobs[job_id].filename for job_id in toy.cancelled] == ["b.mp3"]
