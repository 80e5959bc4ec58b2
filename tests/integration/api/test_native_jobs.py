"""Dalston's job API over real Postgres."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from urllib.parse import urlsplit

import pytest
from sqlalchemy import update

from config import QUEUE_NORMAL
from domain.errors import AudioUnreadable
from domain.transcript import Segment, Word
from models import TranscriptionJob
from services.transcription import run_job
from tests.integration.services.conftest import FakeModel

JOBS = "/v1/audio/transcriptions"


@pytest.fixture
def submit(client):
    def submit(content=b"recording", **fields):
        data = {"file": (BytesIO(content), "talk.wav"), **fields}
        return client.post(JOBS, data=data, content_type="multipart/form-data")

    return submit


@pytest.fixture
def finished(submit, worker):
    """The id of a job that is completed."""

    def finish(**fields):
        job_id = submit(**fields).json["id"]
        run_job(worker, QUEUE_NORMAL)
        return job_id

    return finish


def error_of(answer):
    error = answer.json["error"]
    assert set(answer.json) == {"error"}
    assert set(error) == {"code", "message", "details"}
    return answer.status_code, error["code"]


def test_a_submission_is_answered_at_once_and_becomes_an_ordinary_job(client, submit):
    made = submit(name="Monday", model="tiny", language="german", vocabulary='["Magrathea"]')

    job = client.get(f"/transcribe/{made.json['id']}").json
    assert made.status_code == 201
    assert made.headers["X-Job-ID"] == made.json["id"]
    assert made.headers["Location"] == f"{JOBS}/{made.json['id']}"
    assert (made.json["status"], made.json["display_name"]) == ("pending", "Monday")
    assert datetime.fromisoformat(made.json["created_at"]).tzinfo
    assert (job["model_size"], job["priority"]) == ("tiny", "normal")
    assert job["options"]["initial_prompt"] == "Magrathea"
    assert job["options"]["language"] == "de"
    assert job["options"]["word_timestamps"] is True


def test_a_file_alone_is_a_native_submission(client, submit):
    made = submit()

    assert (made.status_code, made.json["display_name"]) == (201, "talk.wav")


def test_a_repeated_submission_with_its_key_is_the_same_job(client):
    def post():
        return client.post(
            JOBS,
            data={"file": (BytesIO(b"recording"), "talk.wav")},
            content_type="multipart/form-data",
            headers={"Idempotency-Key": "k1"},
        )

    first, second = post(), post()

    assert first.json["id"] == second.json["id"]
    assert second.headers["Idempotency-Replayed"] == "true"


REFUSED = {
    "a field of OpenAI's": ({"name": "n", "response_format": "srt"}, "response_format"),
    "speakers": ({"speaker_detection": "diarize"}, "speaker_detection"),
    "retention": ({"retention": "7"}, "retention"),
    "personal data": ({"pii_detection": "true"}, "pii_detection"),
    "a model that is not here": ({"name": "n", "model": "scribe_v9"}, "model"),
    "a language that is none": ({"language": "klingon"}, "language"),
    "both sources": ({"audio_url": "https://example.com/a.mp3"}, "audio_url"),
}


@pytest.mark.parametrize(("fields", "named"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_in_the_shape_of_this_api(submit, fields, named):
    answer = submit(**fields)

    assert error_of(answer)[0] == 422
    assert answer.json["error"]["details"]["option"] == named


def test_an_address_that_may_not_be_called_is_refused_under_its_own_name(client):
    answer = client.post(
        JOBS,
        data={"audio_url": "http://169.254.169.254/latest"},
        content_type="multipart/form-data; boundary=b",
    )

    assert error_of(answer) == (422, "source_url_refused")
    assert answer.json["error"]["details"]["option"] == "audio_url"


def test_a_submission_without_a_recording_or_with_none_is_refused(client, services, submit):
    def refuse(_path):
        raise AudioUnreadable("this is no audio")

    empty = client.post(JOBS, data={"name": "n"}, content_type="multipart/form-data; boundary=b")
    object.__setattr__(services, "probe", refuse)
    text = submit()

    assert error_of(empty) == (422, "file_missing")
    assert error_of(text) == (422, "audio_unreadable")


def test_a_finished_job_has_its_transcript(client, finished, worker, monkeypatch):
    job_id = finished(name="Monday", model="base")

    job = client.get(f"{JOBS}/{job_id}").json

    assert (job["id"], job["status"], job["progress"]) == (job_id, "completed", 100)
    assert (job["display_name"], job["model"]) == ("Monday", "base")
    assert job["text"] == "Hello there."
    assert (job["language_code"], job["languages"]) == ("en", ["en"])
    assert job["segments"] == [{"id": "0", "start": 0.0, "end": 1.0, "text": "Hello there."}]
    assert job["words"] is None  # the fake model gives none
    assert job["result_word_count"] == 2
    assert (job["result_segment_count"], job["result_character_count"]) == (1, 12)
    assert job["audio_duration_seconds"] == 1.0
    assert job["total_wait_ms"] >= 0
    assert job["retention"]["mode"] == "auto_delete"
    assert job["retention"]["hours"] == 30 * 24
    ends = datetime.fromisoformat(job["retention"]["purge_after"])
    assert ends - datetime.fromisoformat(job["completed_at"]) == timedelta(days=30)


def test_without_timestamps_there_are_no_segments(client, finished):
    job = client.get(f"{JOBS}/{finished(timestamps_granularity='none')}").json

    assert (job["text"], job["segments"], job["words"]) == ("Hello there.", None, None)


def test_words_are_those_of_the_transcript(client, finished, monkeypatch):
    real = FakeModel.transcribe
    words = (Word(" Hello", 0.0, 0.4, 0.9), Word(" there.", 0.4, 1.0, 0.8))

    def with_words(self, *arguments, **options):
        transcript = real(self, *arguments, **options)
        segment = Segment(id=0, seek=0, start=0.0, end=1.0, text=" Hello there.", words=words)
        return type(transcript)(**{**vars(transcript), "segments": (segment,)})

    monkeypatch.setattr(FakeModel, "transcribe", with_words)

    job = client.get(f"{JOBS}/{finished()}").json

    assert job["words"] == [
        {"text": "Hello", "start": 0.0, "end": 0.4, "confidence": 0.9},
        {"text": "there.", "start": 0.4, "end": 1.0, "confidence": 0.8},
    ]


def test_jobs_are_listed_newest_first_in_pages_and_by_status(client, submit, finished):
    done = finished()
    waiting = [submit().json["id"] for _ in range(2)]

    first = client.get(f"{JOBS}?limit=2").json
    second = client.get(f"{JOBS}?limit=2&cursor={first['cursor']}").json
    completed = client.get(f"{JOBS}?status=completed").json
    running = client.get(f"{JOBS}?status=running").json

    listed = [job["id"] for page in (first, second) for job in page["jobs"]]
    assert listed == [*waiting[::-1], done]
    assert (first["has_more"], second["has_more"], second["cursor"]) == (True, False, None)
    assert [job["id"] for job in completed["jobs"]] == [done]
    assert completed["jobs"][0]["result_word_count"] == 2
    assert running["jobs"] == []


def test_a_job_gets_another_name(client, submit):
    where = f"{JOBS}/{submit().json['id']}"

    first = client.patch(where, json={"display_name": "Monday"})
    second = client.patch(where, json={"name": "Tuesday"})
    empty = client.patch(where, json={})
    both = client.patch(where, json={"name": "a", "display_name": "b"})
    no_text = client.patch(where, json={"name": "a\0b"})

    assert (first.json["display_name"], second.json["display_name"]) == ("Monday", "Tuesday")
    assert client.get(where).json["display_name"] == "Tuesday"
    assert error_of(empty) == (422, "validation_error")
    assert error_of(both) == (422, "validation_error")
    assert error_of(no_text) == (422, "validation_error")


def test_a_job_that_waits_is_cancelled_and_then_removed(client, submit):
    where = f"{JOBS}/{submit().json['id']}"

    early = client.delete(where)
    cancelled = client.post(f"{where}/cancel")
    again = client.post(f"{where}/cancel")
    removed = client.delete(where)

    assert error_of(early) == (409, "job_state_conflict")
    assert (cancelled.status_code, cancelled.json["status"]) == (200, "cancelled")
    assert error_of(again) == (409, "job_state_conflict")
    assert removed.status_code == 204
    assert error_of(client.get(where)) == (404, "job_not_found")


def test_a_job_that_runs_is_asked_to_stop(client, services, submit):
    where = f"{JOBS}/{submit().json['id']}"
    with services.open_session() as session:
        session.execute(
            update(TranscriptionJob).values(
                status="processing", attempt=1, lease_expires_at=datetime(2100, 1, 1, tzinfo=UTC)
            )
        )

    before = client.get(where).json["status"]
    answer = client.post(f"{where}/cancel")

    assert before == "running"
    assert (answer.status_code, answer.json["status"]) == (200, "cancelling")
    assert client.get(where).json["status"] == "cancelling"
    with services.open_session() as session:  # back, so that its history is one that can be
        session.execute(update(TranscriptionJob).values(status="pending", lease_expires_at=None))


def test_the_recording_of_a_finished_job_has_an_address_for_one_request(client, app, finished):
    job_id = finished()

    found = client.get(f"{JOBS}/{job_id}/audio")
    stranger = app.test_client()
    stranger.environ_base.pop("HTTP_X_API_KEY")
    address = urlsplit(found.json["url"])
    first = stranger.get(f"{address.path}?{address.query}")
    second = stranger.get(f"{address.path}?{address.query}")

    assert (found.json["type"], found.json["expires_in"]) == ("original", 900)
    assert (first.status_code, first.data) == (200, b"recording")
    assert second.status_code == 401


def test_a_recording_can_be_removed_while_the_transcript_stays(client, services, finished):
    where = f"{JOBS}/{finished()}"

    removed = client.delete(f"{where}/audio")

    job = client.get(where).json
    files = [path for path in services.storage.root.rglob("*") if path.is_file()]
    history = client.get(f"/transcribe/{job['id']}/history").json
    assert removed.status_code == 204
    assert files == []
    assert job["text"] == "Hello there."
    assert job["retention"]["purged_at"] is not None
    assert history[-1]["event"] == "recording_removed"
    assert error_of(client.delete(f"{where}/audio")) == (410, "audio_gone")
    assert error_of(client.get(f"{where}/audio")) == (410, "audio_gone")


def test_the_recording_of_an_unfinished_job_stays_where_it_is(client, submit):
    where = f"{JOBS}/{submit().json['id']}"

    shown, removed = client.get(f"{where}/audio"), client.delete(f"{where}/audio")

    assert error_of(shown) == error_of(removed) == (409, "job_state_conflict")
    assert client.get(f"/transcribe/{where.rsplit('/', 1)[1]}/audio").data == b"recording"


EXPORTS = {
    "txt": ("text/plain", "Hello there.\n"),
    "srt": ("application/x-subrip", "1\n00:00:00,000 --> 00:00:01,000\nHello there.\n"),
    "vtt": ("text/vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nHello there.\n"),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_a_transcript_is_exported_as_clients_ask_for_it(client, finished, name):
    query = "include_speakers=true&max_line_length=42&max_lines=2"

    found = client.get(f"{JOBS}/{finished()}/export/{name}?{query}")

    assert (found.mimetype, found.text) == EXPORTS[name]


def test_lines_of_an_export_are_as_long_as_asked(client, finished):
    job_id = finished()

    short = client.get(f"{JOBS}/{job_id}/export/srt?max_line_length=10&max_lines=1")
    data = client.get(f"{JOBS}/{job_id}/export/json?max_line_length=10")

    assert max(map(len, short.text.replace("\n\n", "\n").split("\n"))) <= 29  # a line of times
    assert "Hello\n" in short.text
    assert data.json["text"] == "Hello there."


def test_what_cannot_be_exported_is_refused(client, submit, finished):
    waiting = submit().json["id"]

    early = client.get(f"{JOBS}/{waiting}/export/txt")
    unknown = client.get(f"{JOBS}/{waiting}/export/docx")
    wide = client.get(f"{JOBS}/{waiting}/export/srt?max_line_length=5")

    assert error_of(early) == (409, "result_not_ready")
    assert error_of(unknown) == (422, "option_invalid")
    assert error_of(wide) == (422, "validation_error")


def test_jobs_are_counted(client, services, submit, finished):
    old = finished()
    with services.open_session() as session:
        two_days = timedelta(days=2)
        session.execute(
            update(TranscriptionJob)
            .where(TranscriptionJob.id == old)
            .values(completed_at=TranscriptionJob.completed_at - two_days)
        )
    finished()
    submit()

    found = client.get("/v1/jobs/stats").json

    assert found == {"running": 0, "queued": 1, "completed_today": 1, "failed_today": 0}


def test_nobody_else_sees_a_job(client, services, finished):
    where = f"{JOBS}/{finished()}"
    with services.open_session() as session:
        session.execute(update(TranscriptionJob).values(tenant="somebody else"))

    answers = [
        client.get(where),
        client.patch(where, json={"name": "mine"}),
        client.delete(where),
        client.post(f"{where}/cancel"),
        client.get(f"{where}/audio"),
        client.delete(f"{where}/audio"),
        client.get(f"{where}/export/txt"),
        client.get(f"{JOBS}/none"),
    ]

    assert [error_of(answer) for answer in answers] == [(404, "job_not_found")] * 8
    assert client.get(JOBS).json["jobs"] == []
    assert client.get("/v1/jobs/stats").json["completed_today"] == 0


def test_a_stranger_is_answered_in_the_shape_of_this_api(app):
    stranger = app.test_client()
    stranger.environ_base.pop("HTTP_X_API_KEY")

    answer = stranger.get(JOBS)

    assert error_of(answer) == (401, "api_key_invalid")


def test_a_key_that_only_submits_changes_a_name_and_sees_no_transcript(client, finished):
    job_id = finished()
    made = client.post("/admin/keys", json={"name": "k", "scopes": ["submit"]}).json
    submits = {"X-API-Key": made["key"]}

    seen = client.patch(f"{JOBS}/{job_id}", json={"name": "theirs"}).json
    answer = client.patch(f"{JOBS}/{job_id}", json={"name": "mine"}, headers=submits)

    assert (answer.status_code, answer.json["display_name"]) == (200, "mine")
    assert seen["text"]
    assert not {"text", "words", "segments"} & {key for key, held in answer.json.items() if held}
    assert client.get(f"{JOBS}/{job_id}", headers=submits).status_code == 403
