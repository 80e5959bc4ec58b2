"""Jobs over HTTP, with the real services behind."""

import threading
from dataclasses import replace
from io import BytesIO
from uuid import UUID

import pytest
from sqlalchemy import select

from api.errors import STATUS_OF_CODE
from audio.ffmpeg import find_ffmpeg
from audio.probe import probe
from domain.transcript import Coverage, Gap, Suspicion
from models import TranscriptionResult
from services.transcription import run_job
from tests.integration.api.conftest import make_app
from tests.recordings import BAD_KINDS, make_recording


def submit(client, name="talk.mp3", **options):
    data = {**options, "file": (BytesIO(b"recording"), name)}
    answer = client.post("/transcribe/", data=data, content_type="multipart/form-data")
    assert answer.status_code == 202, answer.text
    return answer.json["job_id"]


def files_in(storage):
    return [path for path in storage.root.rglob("*") if path.is_file()]


def test_a_recording_goes_in_and_a_transcript_comes_out(client, worker, published):
    job_id = submit(client, language="en", priority="high")
    waiting = client.get(f"/transcribe/{job_id}").json

    run_job(worker)
    done = client.get(f"/transcribe/{job_id}?wait=30").json

    assert published == [(UUID(job_id), "transcription.high")]
    assert (waiting["status"], waiting["queue_position"]) == ("pending", 1)
    assert (waiting["filename"], waiting["size_bytes"]) == ("talk.mp3", 9)
    assert (done["status"], done["progress"], done["transcription"]) == (
        "completed",
        1.0,
        "Hello there.",
    )
    assert done["model_used"] == "base"
    assert client.get(f"/transcribe/{job_id}/result?format=txt").text.strip() == "Hello there."
    assert client.get(f"/transcribe/{job_id}/audio").data == b"recording"


@pytest.mark.parametrize("name", ["json", "verbose_json"])
def test_a_result_says_what_of_the_speech_it_covers(client, worker, model, name):
    suspicion = Suspicion("repetition_loop", "repeated_text", 0.0, 0.5, (0,))
    model.coverage = Coverage(1.0, 0.5, 0.5, (Gap(0.5, 1.0),), (suspicion,))
    job_id = submit(client)

    run_job(worker)

    assert client.get(f"/transcribe/{job_id}/result?format={name}").json["coverage"] == {
        "speech_s": 1.0,
        "transcribed_s": 0.5,
        "share": 0.5,
        "gaps": [{"start_s": 0.5, "end_s": 1.0}],
        "suspicions": [
            {
                "kind": "repetition_loop",
                "reason": "repeated_text",
                "start_s": 0.0,
                "end_s": 0.5,
                "segment_ids": [0],
            }
        ],
    }


def test_a_result_without_a_measured_coverage_says_null(client, worker, services):
    job_id = submit(client)

    run_job(worker)

    assert client.get(f"/transcribe/{job_id}/result").json["coverage"] is None
    with services.open_session() as session:
        query = select(TranscriptionResult.coverage.is_(None))
        assert session.scalars(query).one() is True


def test_the_request_id_stays_with_the_job(client):
    answer = client.put("/transcribe/", data=b"recording", headers={"X-Request-ID": "order-66"})

    job = client.get(f"/transcribe/{answer.json['job_id']}").json

    assert job["request_id"] == "order-66"


def test_a_purged_job_leaves_nothing(client, worker, services):
    job_id = submit(client)
    too_early = client.delete(f"/transcribe/{job_id}?purge=true")
    run_job(worker)

    removed = client.delete(f"/transcribe/{job_id}?purge=true")

    assert (too_early.status_code, removed.status_code) == (409, 204)
    assert client.get(f"/transcribe/{job_id}").status_code == 404
    assert files_in(services.storage) == []


def test_a_cancelled_job_does_not_run(client, worker, model):
    job_id = submit(client)

    first = client.delete(f"/transcribe/{job_id}")
    run_job(worker)
    second = client.delete(f"/transcribe/{job_id}")

    assert (first.status_code, first.json["status"]) == (200, "cancelled")
    assert (second.status_code, second.json["details"]) == (409, {"status": "cancelled"})
    assert model.calls == 0
    assert client.get(f"/transcribe/{job_id}/result").json["code"] == "result_not_ready"


def test_pages_of_the_list_hold_every_job_once(client):
    submitted = [submit(client, f"{number}.mp3") for number in range(5)]

    seen, cursor, pages = [], None, 0
    while cursor or not pages:
        page = client.get("/jobs/", query_string={"limit": 2, "cursor": cursor or ""}).json
        seen += [job["job_id"] for job in page["jobs"]]
        cursor, pages = page["next_cursor"], pages + 1
        assert page["has_more"] is (cursor is not None)

    assert seen == submitted[::-1]
    assert pages == 3


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=pending", 2),
        ("status=completed", 0),
        ("language=German", 1),
        ("model_size=tiny", 1),
        ("filename=TALK", 1),
        ("filename=%25", 0),
        ("created_from=2020-01-01", 2),
        ("created_to=2020-01-01T00:00:00%2B02:00", 0),
        ("created_to=2020-01-01T00:00:00+02:00", 0),
        ("created_to=2020-01-01 12:00", 0),
    ],
)
def test_the_list_can_be_narrowed(client, query, found):
    submit(client, "talk.mp3", language="de")
    submit(client, "other.mp3", model_size="tiny")

    answer = client.get(f"/jobs/?{query}")

    assert answer.status_code == 200
    assert len(answer.json["jobs"]) == found


@pytest.mark.parametrize("cursor", ["x", "é", "%00", "AAAA", "MjAyNnw=", "a" * 5000])
def test_a_cursor_of_somebody_else_is_refused(client, cursor):
    answer = client.get(f"/jobs/?cursor={cursor}")

    assert answer.status_code == 422


def test_two_uploads_of_one_file_at_once_are_two_jobs(app, services):
    ids = []
    threads = [
        threading.Thread(target=lambda: ids.append(submit(app.test_client()))) for _ in range(2)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(ids)) == 2
    assert len(files_in(services.storage)) == 2


@pytest.mark.parametrize("kind", BAD_KINDS)
def test_what_is_no_recording_is_refused_and_nothing_is_kept(services, tmp_path, kind):
    ffmpeg = find_ffmpeg("")
    real = replace(services, probe=lambda path: probe(path, ffmpeg=ffmpeg, timeout_s=30))
    client = make_app(real).test_client()
    path = make_recording(kind, tmp_path / "made")

    answer = client.post("/transcribe/", data={"file": (path.open("rb"), path.name)})

    assert answer.status_code == STATUS_OF_CODE[answer.json["code"]] == 422
    if answer.json["code"] != "file_missing":
        assert answer.json["code"] == BAD_KINDS[kind]
    assert client.get("/jobs/").json["jobs"] == []
    assert files_in(services.storage) == []
    assert str(services.storage.root) not in answer.text


def test_a_prompt_of_every_kind_of_letter_is_kept(client):
    prompt = "Ünïcode 🎉 \"quoted\" \\ 'single' \u2028 end"

    job_id = submit(client, initial_prompt=prompt)

    assert client.get(f"/transcribe/{job_id}").json["options"]["initial_prompt"] == prompt
