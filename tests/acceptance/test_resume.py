"""What was decoded once is not decoded again: real speech, real weights, two workers."""

import signal
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from engines.batched.room import MOST
from tests.acceptance.conftest import await_value

WINDOW_S = 30.0
# Side by side, the slots are full, and as many may wait for one that is late.
WINDOWS_UNDER_WAY = {"sequential": 1, "batched": 2 * MOST["cpu"]}
# Side by side, the last fifth may be over before anybody can kill.
KILLED_AT = {"sequential": 0.8, "batched": 0.3}


@pytest.fixture(scope="module")
def pair(make_server):
    """A server with two workers of one child each."""
    return make_server(WORKERS="2", CELERY_CONCURRENCY="1")


@dataclass(frozen=True)
class LongJob:
    """A job long enough to be disturbed, and what comes of it when nothing disturbs it."""

    path: Path
    mode: str
    under_way_s: float  # of the recording, at most: what a kill may cost
    undisturbed: str

    def submit(self, server, **options):
        return server.submit(self.path, decode_mode=self.mode, **options)


@pytest.fixture(scope="module", params=["sequential", "batched"])
def long_job(request, pair, long_speech, very_long_speech):
    """One in each mode."""
    mode = request.param
    path = long_speech if mode == "sequential" else very_long_speech
    job = pair.await_job(pair.submit(path, decode_mode=mode))
    assert job["status"] == "completed"
    return LongJob(path, mode, WINDOWS_UNDER_WAY[mode] * WINDOW_S, job["transcription"])


def owner_of(server, job_id):
    """Process ids of the worker and of the child that hold the job."""
    [(owner,)] = server.query("SELECT lease_owner FROM transcription_jobs WHERE id = %s", job_id)
    worker, _, child = owner.partition("/")
    return int(worker.rpartition(":")[2]), int(child)


def resumed_from_s(server, job_id):
    [(seconds,)] = server.query(
        "SELECT detail->>'from_s' FROM job_events WHERE job_id = %s AND event = 'resumed'", job_id
    )
    return float(seconds)


def await_share(server, job_id, share):
    return await_value(
        lambda: job if (job := server.job(job_id))["progress"] >= share else None,
        240,
        f"{share:.0%} of the job",
    )


def test_a_killed_worker_costs_at_most_the_windows_under_way(pair, long_job):
    job_id = long_job.submit(pair)
    share = KILLED_AT[long_job.mode]
    seen = await_share(pair, job_id, share)
    _, child = owner_of(pair, job_id)

    psutil.Process(child).kill()
    job = pair.await_job(job_id)

    assert (job["status"], job["attempt"]) == ("completed", 2)
    # What people had been shown was kept; what was under way is lost.
    assert resumed_from_s(pair, job_id) >= seen["progress"] * job["duration"] - 0.1
    assert resumed_from_s(pair, job_id) >= share * job["duration"] - long_job.under_way_s
    assert job["transcription"] == long_job.undisturbed


def test_a_worker_told_to_stop_hands_on_what_it_has(pair, long_job):
    job_id = long_job.submit(pair, word_timestamps="false")
    await_share(pair, job_id, 0.3)
    worker, first_child = owner_of(pair, job_id)

    psutil.Process(worker).send_signal(signal.SIGTERM)
    await_value(lambda: "resumed" in pair.events(job_id), 60, "another worker to go on")
    _, second_child = owner_of(pair, job_id)
    job = pair.await_job(job_id)

    assert (job["status"], job["attempt"]) == ("completed", 1)
    assert second_child != first_child
    assert pair.events(job_id) == [
        "submitted",
        "started",
        "released",
        "started",
        "resumed",
        "completed",
    ]
    assert job["transcription"] == long_job.undisturbed
    [(kept,)] = pair.query("SELECT count(*) FROM transcription_windows WHERE job_id = %s", job_id)
    assert kept == 0


def test_a_rolling_restart_under_load_loses_no_work(pair, long_speech, short_speech):
    jobs = [
        pair.submit(long_speech, decode_mode="sequential"),
        *(pair.submit(short_speech) for _ in range(8)),
    ]
    pair.await_decoding(jobs[0])
    before = {process.pid for process in workers_of(pair)}

    for worker in workers_of(pair):
        worker.send_signal(signal.SIGTERM)
        await_value(
            lambda worker=worker: not worker.is_running() and len(workers_of(pair)) == len(before),
            90,
            "the worker to be replaced",
        )

    for job_id in jobs:
        job = pair.await_job(job_id)
        assert (job["status"], job["attempt"]) == ("completed", 1)
    assert before.isdisjoint(process.pid for process in workers_of(pair))


def workers_of(server):
    """The parents of the two workers."""
    return [
        process
        for process in server.worker_processes()
        if process.parent().pid == server.launcher_pid
    ]
