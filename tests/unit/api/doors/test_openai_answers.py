"""What OpenAI's clients are answered, good or bad."""

from io import BytesIO

import pytest
from flask import Response

import api.doors.openai.audio
import api.doors.openai.submitting
from domain.errors import (
    ApiKeyInvalid,
    AudioUnreadable,
    DatabaseUnavailable,
    JobCancelled,
    JobFailed,
    JobTimedOut,
    RateLimited,
    ScopeMissing,
    ServerBusy,
    StorageFull,
)
from domain.lifecycle import Priority
from services.synchronous import ClientGone

TRANSCRIPTIONS, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"


@pytest.fixture
def busy(monkeypatch):
    """Raises what is in it when capacity is asked for."""
    errors = []

    def require_capacity(_services):
        for error in errors:
            raise error

    monkeypatch.setattr(api.doors.openai.audio, "require_capacity", require_capacity)
    return errors


@pytest.fixture
def door(client, busy, outcome, monkeypatch):
    monkeypatch.setattr(api.doors.openai.submitting, "submit_once", outcome.submit_once)
    return client


def post(door, path=TRANSCRIPTIONS, *, content=b"RIFF", headers=None, **fields):
    data = {"model": "tiny", **fields}
    if content is not None:
        data["file"] = (BytesIO(content), "talk.wav", "audio/wav")
    return door.post(path, data=data, headers=headers, content_type="multipart/form-data")


def test_a_recording_becomes_an_urgent_job_and_its_transcript_the_answer(door, outcome):
    answer = post(door, temperature="0", prompt="A guide.")

    (call,) = outcome.submitted
    assert answer.status_code == 200
    assert answer.json["text"] == "Hello there."
    assert answer.headers["X-Job-ID"] == str(outcome.job_id)
    assert (call["priority"], call["door"]) == (Priority.HIGH, "openai")
    assert (call["filename"], call["content_type"]) == ("talk.wav", "audio/wav")
    assert (call["options"].temperature, call["options"].initial_prompt) == (0.0, "A guide.")
    assert call["door_fields"] == {"model": "tiny", "response_format": "json"}


def test_a_translation_is_made_by_the_same_way(door, outcome):
    answer = post(door, TRANSLATIONS, response_format="text")

    assert (answer.status_code, answer.text) == (200, "Hello there.\n")
    assert outcome.submitted[0]["options"].task == "translate"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("json", "application/json"),
        ("verbose_json", "application/json"),
        ("text", "text/plain"),
        ("srt", "application/x-subrip"),
        ("vtt", "text/vtt"),
    ],
)
def test_every_format_has_its_media_type(door, name, media_type):
    answer = post(door, response_format=name)

    assert answer.mimetype == media_type
    assert "Hello there." in answer.text


@pytest.mark.parametrize(("header", "is_kept"), [({}, False), ({"X-Keep-Job": "true"}, True)])
def test_the_job_is_kept_for_a_client_that_leaves_only_when_it_says_so(
    door, outcome, header, is_kept
):
    post(door, headers=header)

    assert outcome.waits[0]["keep_if_gone"] is is_kept


def test_an_idempotency_key_finds_the_first_job_and_lets_it_live(door, outcome):
    outcome.is_replayed = True

    answer = post(door, headers={"Idempotency-Key": "first-try"})

    assert answer.headers["Idempotency-Replayed"] == "true"
    assert outcome.submitted[0]["idempotency_key"] == "first-try"
    assert outcome.waits[0]["keep_if_gone"] is True


def test_nobody_is_answered_when_the_client_is_gone(door, outcome, hub):
    outcome.error = ClientGone()

    answer = post(door)

    assert (answer.status_code, answer.data) == (499, b"")
    assert hub.count == 0


def test_a_request_that_waits_counts_as_a_stream(door, outcome, hub, settings):
    places = [hub.reserve() for _ in range(settings.max_event_streams)]

    answer = post(door)

    assert (answer.status_code, answer.json["error"]["code"]) == (503, "too_many_streams")
    assert outcome.submitted == []
    assert hub.count == len(places)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ApiKeyInvalid("no key"), 401, "authentication_error"),
        (ScopeMissing("no scope"), 403, "permission_error"),
        (AudioUnreadable("noise"), 400, "invalid_request_error"),
        (RateLimited("slow down", retry_after_s=7), 429, "rate_limit_error"),
        (DatabaseUnavailable("away"), 503, "server_error"),
        (StorageFull("full"), 507, "server_error"),
        (ZeroDivisionError("a bug"), 500, "server_error"),
    ],
)
def test_a_failure_has_openais_shape(door, busy, error, status, kind):
    busy.append(error)

    answer = post(door)

    error = answer.json["error"]
    assert (answer.status_code, error["type"]) == (status, kind)
    assert set(answer.json) == {"error"}
    assert set(error) == {"message", "type", "param", "code"}
    assert "a bug" not in error["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"include[]": "logprobs"}, "include"),
        ({"temperature": "2"}, "temperature"),
        ({"model": "gpt-9"}, "model"),
        ({"model": ""}, "model"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"invented": "1"}, "invented"),
        ({"content": None}, "file"),
        ({"content": b""}, "file"),
    ],
)
def test_a_field_at_fault_is_named_and_nothing_is_kept(door, outcome, files_on_disk, fields, param):
    answer = post(door, **fields)

    error = answer.json["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == param
    assert answer.headers["X-Should-Retry"] == "false"
    assert (outcome.submitted, files_on_disk()) == ([], [])


def test_a_parameter_in_the_address_is_refused_and_not_passed_over(door):
    answer = post(door, f"{TRANSCRIPTIONS}?language=de")

    assert (answer.status_code, answer.json["error"]["param"]) == (400, "language")


def test_a_bad_recording_is_the_files_fault(door, busy):
    busy.append(AudioUnreadable("noise"))

    assert post(door).json["error"]["param"] == "file"


def test_a_busy_server_says_when_to_come_back_before_it_takes_the_recording(
    door, busy, outcome, files_on_disk
):
    busy.append(ServerBusy("busy", retry_after_s=42))

    answers = [post(door), post(door, TRANSLATIONS)]

    for answer in answers:
        assert (answer.status_code, answer.json["error"]["code"]) == (503, "server_busy")
        assert answer.headers["Retry-After"] == "42"
        assert answer.headers["Retry-After-Ms"] == "42000"
        assert "X-Should-Retry" not in answer.headers
    assert (outcome.submitted, files_on_disk()) == ([], [])


def test_a_busy_server_says_so_too_when_the_file_stands_before_the_model(
    door, busy, outcome, files_on_disk
):
    busy.append(ServerBusy("busy", retry_after_s=42))
    parts = ['name="file"; filename="a.wav"\r\n\r\nRIFF', 'name="model"\r\n\r\ntiny']
    body = "".join(f"--b\r\nContent-Disposition: form-data; {part}\r\n" for part in parts)

    answer = door.post(
        TRANSCRIPTIONS, data=f"{body}--b--\r\n", content_type="multipart/form-data; boundary=b"
    )

    assert (answer.status_code, answer.json["error"]["code"]) == (503, "server_busy")
    assert (outcome.submitted, files_on_disk()) == ([], [])


def test_a_native_form_is_handed_over_and_waits_for_no_room(door, busy, outcome, monkeypatch):
    busy.append(ServerBusy("busy", retry_after_s=42))
    taken = []

    def accept(form):
        taken.append(form.fields)
        return Response("of the native API", status=201)

    monkeypatch.setattr(api.doors.openai.audio, "accept", accept)

    answer = post(door, speaker_detection="none")

    assert (answer.status_code, answer.text) == (201, "of the native API")
    assert taken == [[("model", "tiny"), ("speaker_detection", "none")]]
    assert outcome.submitted == []


def test_as_many_keywords_are_taken_as_whisper_reads(door, outcome):
    answer = post(door, **{"keywords[]": [f"word{number}" for number in range(100)]})

    assert answer.status_code == 200
    assert outcome.submitted[0]["options"].initial_prompt.endswith("word98, word99.")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (JobFailed("broken", failure="audio_unreadable"), 400),
        (JobFailed("it was lost", failure="worker_lost"), 503),
        (JobCancelled("cancelled"), 409),
        (JobTimedOut("it goes on"), 504),
    ],
)
def test_a_job_that_came_to_nothing_is_named_and_not_tried_again(door, outcome, error, status):
    error.details = {"job_id": str(outcome.job_id)}
    outcome.error = error

    answer = post(door)

    assert answer.status_code == status
    assert answer.headers["X-Job-ID"] == str(outcome.job_id)
    assert answer.headers["X-Should-Retry"] == "false"
    assert "Retry-After" not in answer.headers


def test_models_are_listed_and_found_as_openai_does(door):
    listed = door.get("/v1/models").json

    found = {model["id"]: model for model in listed["data"]}
    assert listed["object"] == "list"
    assert {"tiny", "large-v3", "turbo", "whisper-1", "gpt-4o-transcribe"} <= set(found)
    assert found["whisper-1"]["root"] == "base"
    for name in ("tiny", "whisper-1"):
        assert door.get(f"/v1/models/{name}").json == found[name]
        assert found[name]["object"] == "model"


def test_a_model_that_is_not_there_is_not_found(door):
    answer = door.get("/v1/models/gpt-9")

    assert (answer.status_code, answer.json["error"]["code"]) == (404, "model_not_found")
    assert answer.json["error"]["type"] == "invalid_request_error"
