"""The promise of the README: a recording goes in over HTTP and a transcript comes out."""

import os
import subprocess
import sys

import httpx
import jiwer
import pytest
from whisper.normalizers import EnglishTextNormalizer

from embedded.process import ROOT
from scripts.samples import SAMPLES
from tests.acceptance.conftest import await_value

normalise = EnglishTextNormalizer()


def word_error_rate(reference, hypothesis):
    return jiwer.wer(normalise(reference), normalise(hypothesis))


@pytest.fixture(scope="module")
def finished(server, speech):
    """One finished job of real speech with word timestamps, by the default options else."""
    return server.await_job(server.submit(speech, word_timestamps="true", model_size="base"))


def test_real_speech_becomes_its_text(finished, speech):
    error_rate = word_error_rate(SAMPLES[speech.name].text, finished["transcription"])

    assert finished["status"] == "completed"
    assert error_rate < 0.10
    assert finished["language"] == "en"
    assert finished["duration"] == pytest.approx(SAMPLES[speech.name].duration_s, abs=0.1)
    assert finished["word_count"] == len(finished["transcription"].split())
    assert 0.3 < finished["confidence"] <= 1
    assert finished["model_used"] == "base"
    assert finished["fallbacks"] == []
    assert finished["timings"]["transcribe_s"] > 0


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("txt", "It was the best of times"),
        ("srt", "1\n00:00:0"),
        ("vtt", "WEBVTT"),
        ("tsv", "start\tend\ttext"),
        ("json", "{"),
        ("verbose_json", "{"),
    ],
)
def test_the_result_comes_in_every_format(server, finished, name, begins):
    answer = server.client.get(f"/transcribe/{finished['job_id']}/result", params={"format": name})

    assert answer.status_code == 200
    assert answer.text.lstrip().startswith(begins)


def test_a_format_may_be_asked_for_by_accept(server, finished):
    answer = server.client.get(
        f"/transcribe/{finished['job_id']}/result", headers={"Accept": "text/vtt"}
    )

    assert answer.headers["content-type"].startswith("text/vtt")


def test_subtitles_keep_to_the_width_asked_for(server, finished):
    answer = server.client.get(
        f"/transcribe/{finished['job_id']}/result",
        params={"format": "srt", "max_line_width": 32, "max_line_count": 2},
    )

    blocks = [block.splitlines()[2:] for block in answer.text.strip().split("\n\n")]
    assert len(blocks) > 10
    assert all(len(lines) <= 2 for lines in blocks)
    assert all(len(line) <= 32 for lines in blocks for line in lines)


def test_words_carry_times_inside_their_segments(server, finished):
    answer = server.client.get(
        f"/transcribe/{finished['job_id']}/result", params={"format": "verbose_json"}
    )

    words = answer.json()["words"]
    starts = [word["start"] for word in words]
    assert len(words) > 90
    assert starts == sorted(starts)
    assert all(word["start"] <= word["end"] <= finished["duration"] + 0.1 for word in words)


def test_the_recording_comes_back_also_in_parts(server, finished, speech):
    path = f"/transcribe/{finished['job_id']}/audio"

    part = server.client.get(path, headers={"Range": "bytes=100-199"})

    assert part.status_code == 206
    assert part.content == speech.read_bytes()[100:200]
    assert server.client.get(path).content == speech.read_bytes()


def test_the_raw_body_is_taken_as_well(server, short_speech):
    answer = server.client.put(
        "/transcribe/",
        params={"filename": "kennedy.wav", "language": "en", "priority": "high"},
        content=short_speech.read_bytes(),
    )

    job = server.await_job(answer.json()["job_id"])
    assert answer.headers["location"] == f"/transcribe/{job['job_id']}"
    assert (job["filename"], job["priority"]) == ("kennedy.wav", "high")
    assert word_error_rate(SAMPLES[short_speech.name].text, job["transcription"]) < 0.2


def test_two_uploads_of_one_file_at_once_are_two_jobs(server, short_speech):
    first, second = server.submit(short_speech), server.submit(short_speech)

    texts = {server.await_job(job)["transcription"] for job in (first, second)}

    assert first != second
    assert len(texts) == 1


def test_a_long_poll_answers_as_soon_as_something_happens(server, short_speech):
    job_id = server.submit(short_speech)
    states = []

    while not states or states[-1] not in ("completed", "failed"):
        states.append(
            server.client.get(f"/transcribe/{job_id}", params={"wait": 30}).json()["status"]
        )

    assert states[-1] == "completed"
    assert len(states) < 30


def test_the_pool_serves_the_second_job_from_memory(server, short_speech):
    for _ in range(4):
        server.await_job(server.submit(short_speech, model_size="tiny"))

    pool = server.client.get("/admin/health", headers=server.admin).json()["model_pool"]

    assert pool["hits"] > 0
    assert "tiny" in pool["models_by_size"]
    assert pool["memory_mb"] > 50


def test_admin_health_shows_the_workers_and_the_queues(server):
    def look():
        return server.client.get("/admin/health", headers=server.admin).json()

    def is_up(health):
        return health["status"] == "healthy" and health["workers"][0]["slots"] == 4

    health = await_value(lambda: is_up(seen := look()) and seen, 60, "children and model host")

    assert len(health["workers"]) == 1
    assert health["model_hosts"][0]["place"] == 0
    assert set(health["queues"]["broker"]) == {
        "transcription.high",
        "transcription.normal",
        "transcription.retry",
        "transcription.dlq",
    }
    assert health["database"]["pool_size"] > 0


def test_admin_wants_its_key(server):
    for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}):
        answer = httpx.get(f"{server.url}/admin/errors", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "api_key_invalid")


def test_the_server_is_ready(server):
    checks = server.client.get("/health/ready").json()["checks"]

    assert {name: check["ok"] for name, check in checks.items()} == {
        "database": True,
        "schema": True,
        "broker": True,
        "storage": True,
    }


def test_flower_asks_for_its_password_and_sees_the_worker(server):
    [line] = [line for line in server.log_text().splitlines() if "  Flower  " in line]
    url = line.split()[-1]
    user, _, password = server.secrets["flower_basic_auth"].partition(":")

    assert httpx.get(f"{url}/api/workers").status_code == 401
    answer = httpx.get(
        f"{url}/api/workers", params={"refresh": 1}, auth=(user, password), timeout=30
    )
    [worker] = answer.json().values()
    names = [queue["name"] for queue in worker["active_queues"]]
    assert names == ["transcription.high", "transcription.normal", "transcription.retry"]


def test_a_request_id_goes_all_the_way_to_the_worker(server, short_speech):
    with short_speech.open("rb") as stream:
        answer = server.client.post(
            "/transcribe/", files={"file": stream}, headers={"X-Request-ID": "trace-me-42"}
        )
    job = server.await_job(answer.json()["job_id"])

    lines = [line for line in server.log_text().splitlines() if "request_id=trace-me-42" in line]
    assert answer.headers["x-request-id"] == job["request_id"] == "trace-me-42"
    assert any(line.startswith("web") for line in lines)
    assert any(line.startswith("worker") and "job_completed" in line for line in lines)


def test_neither_transcripts_nor_secrets_reach_the_log(server, finished):
    log = server.log_text()

    assert finished["transcription"][:60] not in log
    assert not [name for name, secret in server.secrets.items() if secret in log]


def test_the_client_prints_the_transcript_and_nothing_else(server, short_speech):
    finished = subprocess.run(
        [sys.executable, "-m", "client", "transcribe", "--server", server.url, str(short_speech)],
        env={**os.environ, "SCRIPTORIUM_API_KEY": server.admin["X-API-Key"]},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    assert word_error_rate(SAMPLES[short_speech.name].text, finished.stdout) < 0.2


def test_a_cancel_stops_the_work_between_windows(server, long_speech):
    job_id = server.submit(long_speech, decode_mode="sequential")
    server.await_decoding(job_id)

    answer = server.client.delete(f"/transcribe/{job_id}")
    job = server.await_job(job_id, timeout_s=30)

    assert answer.status_code == 202
    assert job["status"] == "cancelled"
    assert job["progress"] < 1
    again = server.client.delete(f"/transcribe/{job_id}")
    assert (again.status_code, again.json()["details"]["status"]) == (409, "cancelled")


def test_a_purge_leaves_nothing(server, short_speech):
    job_id = server.submit(short_speech)
    server.await_job(job_id)

    answer = server.client.delete(f"/transcribe/{job_id}", params={"purge": "true"})

    assert answer.status_code == 204
    assert server.client.get(f"/transcribe/{job_id}").status_code == 404
    assert server.query("SELECT count(*) FROM transcription_results WHERE job_id = %s", job_id) == [
        (0,)
    ]
