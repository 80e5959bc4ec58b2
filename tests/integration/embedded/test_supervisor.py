import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path

import pytest

from embedded.errors import ServiceFailed
from embedded.output import PrefixedPrinter
from embedded.process import ROOT, is_alive
from embedded.supervisor import ECHO_S, Supervisor
from tests.integration.embedded.stub_launcher import stub_service
from tests.integration.embedded.waiting import wait_until


@pytest.fixture
def launch(tmp_path):
    """Start a launcher of stubs and wait until all are ready."""
    launchers = []

    def start(*stubs):
        launcher = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.embedded.stub_launcher", tmp_path, *stubs],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        launchers.append(launcher)
        wait_until((tmp_path / "ready").exists)
        return launcher

    yield start
    for launcher in launchers:
        launcher.kill()
        launcher.communicate()


@pytest.fixture
def supervisor():
    printer = PrefixedPrinter(StringIO(), ["launcher", "one", "two"], colour=False)
    return Supervisor(printer, partial(printer.write, "launcher"))


def events(folder):
    return (folder / "events").read_text().splitlines()


def pid_of(folder, name):
    return int((folder / f"{name}.pid").read_text())


def test_services_stop_in_the_reverse_of_their_order(launch, tmp_path):
    launcher = launch("plain:store", "plain:web", "plain:worker")

    launcher.send_signal(signal.SIGTERM)

    assert launcher.wait(timeout=20) == 0
    assert events(tmp_path) == [
        "started store", "started web", "started worker",
        "stopped worker", "stopped web", "stopped store",
    ]  # fmt: skip


def test_every_line_has_the_name_of_its_process(launch):
    launcher = launch("plain:store", "plain:web")

    launcher.send_signal(signal.SIGINT)

    output, _ = launcher.communicate(timeout=20)
    assert "store    | store is here\n" in output
    assert "web      | web is here\n" in output


def test_a_job_in_a_child_of_the_worker_is_finished_before_the_store_stops(launch, tmp_path):
    launcher = launch("plain:store", "with-job:worker")

    launcher.send_signal(signal.SIGTERM)

    launcher.wait(timeout=20)
    assert events(tmp_path)[2:] == ["job finished", "stopped worker", "stopped store"]


def test_a_second_interrupt_ends_a_stubborn_process_at_once(launch, tmp_path):
    launcher = launch("plain:store", "stubborn:worker")
    worker = pid_of(tmp_path, "worker")
    asked_at = time.monotonic()
    launcher.send_signal(signal.SIGINT)
    wait_until(lambda: "ignored worker" in events(tmp_path))
    wait_until(lambda: time.monotonic() - asked_at > 2 * ECHO_S)

    launcher.send_signal(signal.SIGINT)

    assert launcher.wait(timeout=8) == 0  # of the ten seconds that it would have had
    assert not is_alive(worker)
    assert events(tmp_path)[-1] == "stopped store"


def test_two_signals_at_once_are_one_request(launch, tmp_path):
    launcher = launch("plain:store", "plain:worker")

    launcher.send_signal(signal.SIGINT)
    launcher.send_signal(signal.SIGTERM)

    assert launcher.wait(timeout=20) == 0
    assert events(tmp_path)[-2:] == ["stopped worker", "stopped store"]


def test_a_process_that_dies_is_started_again_and_the_others_stay(launch, tmp_path):
    launcher = launch("plain:store", "plain:web")
    store, first = pid_of(tmp_path, "store"), pid_of(tmp_path, "web")

    os.kill(first, signal.SIGKILL)

    second = wait_until(lambda: pid_of(tmp_path, "web") != first and pid_of(tmp_path, "web"))
    assert is_alive(second)
    assert pid_of(tmp_path, "store") == store
    launcher.send_signal(signal.SIGTERM)
    assert "web ended with SIGKILL; it starts again in 1 s" in launcher.communicate(timeout=20)[0]


def test_a_killed_launcher_leaves_no_process_behind(launch, tmp_path):
    launcher = launch("plain:store", "stubborn:web", "plain:worker")
    pids = [pid_of(tmp_path, name) for name in ("store", "web", "worker")]
    assert all(map(is_alive, pids))

    launcher.kill()

    wait_until(lambda: not any(map(is_alive, pids)))


def test_a_launcher_whose_reader_went_away_stops_everything(launch, tmp_path):
    launcher = launch("plain:store", "plain:web")
    pids = [pid_of(tmp_path, name) for name in ("store", "web")]
    launcher.stdout.close()

    os.kill(pids[1], signal.SIGKILL)  # which makes it say something

    wait_until(lambda: not any(map(is_alive, pids)))
    launcher.stdout = None


def test_services_of_one_group_are_asked_to_stop_at_once(supervisor, tmp_path):
    with supervisor.signals_handled():
        supervisor.start_and_wait(stub_service(tmp_path, "plain", "one", stop_group="workers"))
        supervisor.start_and_wait(
            stub_service(tmp_path, "leaves-last", "two", stop_group="workers")
        )

    assert events(tmp_path)[2:] == ["stopped one", "stopped two"]


def test_a_service_that_fails_to_start_says_why_and_takes_the_others_down(supervisor, tmp_path):
    def start_both():
        with supervisor.signals_handled():
            supervisor.start_and_wait(stub_service(tmp_path, "plain", "one"))
            supervisor.run_to_end(stub_service(tmp_path, "failing", "two"))

    with pytest.raises(ServiceFailed, match=r"two ended with exit code 1(.|\n)*cause of it all"):
        start_both()

    assert events(tmp_path) == ["started one", "started two", "stopped one"]


def test_a_service_that_never_gets_ready_is_given_up(supervisor, tmp_path):
    slow = replace(stub_service(tmp_path, "plain", "one"), is_ready=bool, start_timeout_s=0.5)

    with (
        pytest.raises(ServiceFailed, match="one was not ready within"),
        supervisor.signals_handled(),
    ):
        supervisor.start_and_wait(slow)


def test_what_a_service_left_in_its_session_ends_with_it(supervisor, tmp_path):
    with supervisor.signals_handled():
        child = supervisor.start(stub_service(tmp_path, "with-job", "one"))
        supervisor.wait_until_ready(child)
        left = children_of(child.pid)

        child.kill()

        wait_until(lambda: not child.is_running)
    assert len(left) == 1
    wait_until(lambda: not any(map(is_alive, left)))


def children_of(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
