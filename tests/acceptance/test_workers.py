"""Several workers on one machine: who takes what, and what is noticed when one does not."""

import json
import os
import subprocess
import sys

import psutil
import pytest
from celery import Celery

from config import CONSUMED_QUEUES, QUEUE_HIGH
from embedded.process import ROOT
from tests.acceptance.conftest import await_value
from tests.setting_names import without_settings

AT_ONCE = "fake: rtfx=1000"
TEN_SECONDS = "fake: rtfx=1.1"  # for eleven seconds of speech
LEASE_S = 60


@pytest.fixture(scope="module")
def crew(make_server):
    """Two workers of one slot each, and a slot for urgent jobs alone."""
    server = make_server(
        WHISPER_ENGINE="fake",
        WORKERS="2",
        HIGH_ONLY_SLOTS="1",
        CELERY_CONCURRENCY="1",
        DEAF_AFTER_S="2",
        LEASE_S=str(LEASE_S),
    )
    await_value(lambda: len(server.workers()) == 3, 60, "three workers")
    await_value(lambda: health(server)["status"] == "healthy", 60, "the model host")
    return server


@pytest.fixture
def broker(crew):
    """Celery's remote control of the workers."""
    ports = json.loads((crew.folder / "run" / "ports.json").read_text())
    password = crew.secrets["valkey_password"]
    with Celery(broker=f"redis://:{password}@127.0.0.1:{ports['valkey']}/0") as app:
        yield app.control


def worker_for(crew, *queues):
    [name] = [w["worker"] for w in crew.workers() if w["queues"] == list(queues)]
    return name


def owner_of(crew, job_id):
    """Worker and child that hold the lease of this job."""
    [(owner,)] = crew.query("SELECT lease_owner FROM transcription_jobs WHERE id = %s", job_id)
    worker, _, pid = owner.partition("/")
    return worker, int(pid)


def health(crew):
    return crew.client.get("/admin/health", headers=crew.admin).json()


def probe(crew, *options):
    """The exit code of the probe in the environment of the workers, and what it said."""
    parent = crew.find_processes("worker.py", "--name", "worker-1")[0]
    done = subprocess.run(
        [sys.executable, "worker.py", "probe", *options],
        cwd=ROOT,
        env={**without_settings(os.environ), **parent.environ()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_every_worker_has_its_own_name_and_queues(crew):
    queues = sorted(worker["queues"] for worker in crew.workers())
    names = {line.partition(" ")[0] for line in crew.log_text().splitlines()}

    assert queues == sorted([[QUEUE_HIGH], [*CONSUMED_QUEUES], [*CONSUMED_QUEUES]])
    assert {"worker-1", "worker-2", "worker-high"} <= names
    assert health(crew)["status"] == "healthy"


def test_a_slot_stays_free_for_urgent_jobs_and_only_for_them(crew, short_speech):
    for_urgent_jobs = worker_for(crew, QUEUE_HIGH)
    long = [crew.submit(short_speech, initial_prompt=TEN_SECONDS) for _ in range(3)]
    crew.await_start(*long[:2])

    urgent = crew.submit(short_speech, initial_prompt=TEN_SECONDS, priority="high")
    crew.await_start(urgent)

    assert owner_of(crew, urgent)[0] == for_urgent_jobs
    assert for_urgent_jobs not in {owner_of(crew, job_id)[0] for job_id in long[:2]}
    assert crew.job(long[2])["status"] == "pending"
    for job_id in (*long, urgent):
        assert crew.await_job(job_id)["status"] == "completed"


def test_a_killed_child_is_noticed_long_before_its_lease_runs_out(crew, short_speech):
    job_id = crew.submit(short_speech, initial_prompt=TEN_SECONDS)
    crew.await_start(job_id)

    psutil.Process(owner_of(crew, job_id)[1]).kill()

    job = crew.await_job(job_id, timeout_s=40)
    assert (job["status"], job["attempt"]) == ("completed", 2)
    assert "reaped" in crew.events(job_id)


def test_workers_that_stop_listening_are_noticed_and_heal(crew, broker, short_speech):
    crew.await_job(crew.submit(short_speech, initial_prompt=AT_ONCE))
    await_value(lambda: probe(crew)[0] == 0, 60, "the probe to find all well")

    for queue in CONSUMED_QUEUES:
        broker.cancel_consumer(queue, reply=True, timeout=5)
    job_id = crew.submit(short_speech, initial_prompt=AT_ONCE)
    await_value(lambda: health(crew)["status"] == "degraded", 60, "the health to be degraded")
    workers = health(crew)["workers"]
    code, said = probe(crew)

    deaf = {w["worker"]: w["problem"] for w in workers if not w["takes_jobs"]}
    assert worker_for(crew, QUEUE_HIGH) not in deaf
    assert deaf
    assert all("takes no jobs" in problem for problem in deaf.values())
    assert code == 1
    assert len(said.splitlines()) == 1
    assert any(f"worker {name} takes no jobs" in said for name in deaf)
    assert probe(crew, "--worker", worker_for(crew, QUEUE_HIGH))[0] == 0

    for worker in ("worker-1", "worker-2"):
        for queue in CONSUMED_QUEUES:
            broker.add_consumer(queue, destination=[f"{worker}@{os.uname().nodename}"])

    assert crew.await_job(job_id)["status"] == "completed"
    await_value(lambda: health(crew)["status"] == "healthy", 60, "the health to recover")
    assert probe(crew) == (0, "")


def test_a_probe_of_a_worker_that_is_not_there_says_so(crew):
    code, said = probe(crew, "--worker", "elsewhere:1")

    assert (code, said) == (1, "Error: no worker elsewhere:1 has reported for 35 s\n")
