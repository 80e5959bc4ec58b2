"""The benchmarks that measure a whole server, on recordings of a few seconds."""

import json
import os
import signal
import time

import psutil
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.processes import measure_memory
from benchmarks.server import running_server, scratch_folder
from embedded.process import is_alive
from tests.real_models import real_weights

AGAIN_TIMEOUT_S = 120.0
POLL_S = 0.1


def worker_parent(launcher_pid: int) -> psutil.Process | None:
    found = [
        child
        for child in psutil.Process(launcher_pid).children()
        if "worker.py worker" in " ".join(child.cmdline())
    ]
    return found[0] if found else None


def wait_for_children(launcher_pid: int, count: int) -> None:
    deadline = time.monotonic() + AGAIN_TIMEOUT_S
    while f"worker child {count}" not in measure_memory(launcher_pid):
        assert time.monotonic() < deadline, "the worker did not come back"
        time.sleep(POLL_S)


def test_the_model_host_is_measured_before_and_after_the_death_of_its_worker():
    real_weights("tiny")

    with scratch_folder() as folder, running_server(folder, model_size="tiny") as running:
        before = measure_memory(running.launcher_pid, running.host_pids())
        hosts = running.host_pids()
        parent = worker_parent(running.launcher_pid)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(AGAIN_TIMEOUT_S)
        wait_for_children(running.launcher_pid, 1)
        after = measure_memory(running.launcher_pid, running.host_pids())
        hosts_after = running.host_pids()

    for groups in (before, after):
        assert groups["model host"].count == 1
        assert [name for name in groups if name.startswith("worker child")] == ["worker child 1"]
    assert before["model host"].memory.rss_mib > before["worker child 1"].memory.rss_mib
    assert hosts_after == hosts
    assert not is_alive(hosts[0])


def test_jobs_are_submitted_together_and_one_at_a_time(tmp_path):
    real_weights("tiny")
    kept = tmp_path / "together.json"
    options = [
        *("--model", "tiny", "--concurrency", "2", "--rounds", "1"),
        *("--jobs", "2", "--seconds", "5", "--json", str(kept)),
    ]

    result = CliRunner().invoke(cli, ["together", *options])

    assert result.exit_code == 0, result.output
    (gain,) = json.loads(kept.read_text())["rounds"]["2"]
    assert (gain["jobs"], gain["audio_s"], gain["differing"]) == (2, 10.0, 0)
    assert min(gain["apart_s"], gain["together_s"]) > 0


def test_the_server_is_compared_with_the_engine_alone(tmp_path):
    real_weights("tiny")
    kept = tmp_path / "overhead.json"
    options = ["--model", "tiny", "--rounds", "1", "--seconds", "15", "--json", str(kept)]

    result = CliRunner().invoke(cli, ["overhead", *options])

    assert result.exit_code == 0, result.output
    written = json.loads(kept.read_text())
    (measured,) = written["rounds"]
    assert written["against"] == "engine"
    assert measured["words_off"] == 0
    assert min(measured["alone_s"], measured["server_cpu_s"], measured["alone_cpu_s"]) > 0
