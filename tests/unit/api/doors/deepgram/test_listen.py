"""`POST /v1/listen`, with jobs that end as the test says."""

import pytest

from api.doors.deepgram import views
from domain.errors import JobFailed, ServerBusy, SourceRefused, WebhookRefused
from domain.lifecycle import Priority
from services.fetching import Fetched
from services.synchronous import ClientGone
from storage.base import StoredFile

CALLBACK = "https://example.org/hook"


@pytest.fixture
def deepgram(client, outcome, monkeypatch):
    monkeypatch.setattr(views, "require_capacity", lambda services: None)
    monkeypatch.setattr(views, "submit_once", outcome.submit_once)
    monkeypatch.setattr(views, "job_webhook", lambda services, url, **said: {"url": url, **said})
    return client


def listen(client, query="", **request):
    request = {"data": b"audio", "content_type": "audio/wav", **request}
    return client.post(f"/v1/listen{query}", **request)


def test_a_recording_is_answered_with_its_transcript(deepgram, outcome):
    answer = listen(deepgram)

    assert answer.status_code == 200
    assert answer.headers["X-Job-ID"] == str(outcome.job_id)
    assert answer.json["metadata"]["request_id"] == str(outcome.job_id)
    found = answer.json["results"]["channels"][0]["alternatives"][0]
    assert found["transcript"] == "Hello there."


def test_the_job_is_urgent_and_says_where_it_came_from(deepgram, outcome):
    listen(deepgram, "?model=tiny&keyterm=Bob&keyterm=Al&tag=x&utterances=true")

    (job,) = outcome.submitted
    assert (job["door"], job["priority"], job["content_type"]) == (
        "deepgram",
        Priority.HIGH,
        "audio/wav",
    )
    assert (job["options"].model_size, job["options"].initial_prompt) == ("tiny", "Bob, Al")
    assert job["options"].word_timestamps
    assert job["labels"] == {"tag": "x"}
    assert job["door_fields"] == {"utterances": True, "tag": ["x"]}


@pytest.mark.parametrize("content_type", ["audio/mpeg", "application/octet-stream", None])
def test_any_type_of_body_but_json_and_forms_is_a_recording(deepgram, outcome, content_type):
    assert listen(deepgram, content_type=content_type).status_code == 200


def test_a_form_is_refused(deepgram, outcome):
    answer = listen(deepgram, content_type="multipart/form-data; boundary=x")

    assert answer.status_code == 400
    assert "the recording itself" in answer.json["err_msg"]
    assert outcome.submitted == []


def test_what_is_not_available_is_refused_by_name_before_anything_is_stored(
    deepgram, outcome, files_on_disk
):
    answer = listen(deepgram, "?diarize=true")

    assert answer.status_code == 400
    assert answer.json["err_code"] == "INVALID_QUERY_PARAMETER"
    assert answer.json["err_msg"] == "diarize is not available on this server"
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert files_on_disk() == []


def test_a_rule_of_our_own_names_the_parameter_too(deepgram):
    answer = listen(deepgram, "?model=tiny.en&language=de")

    assert answer.status_code == 400
    assert "language" in answer.json["err_msg"]


def test_an_empty_recording_is_a_bad_request(deepgram):
    answer = listen(deepgram, data=b"", environ_overrides={"CONTENT_LENGTH": "0"})

    assert (answer.status_code, answer.json["err_code"]) == (400, "Bad Request")


def test_a_recording_that_is_too_large_is_refused_in_their_words(deepgram, files_on_disk):
    answer = listen(deepgram, data=bytes(1024 * 1024 + 1))

    assert (answer.status_code, answer.json["err_code"]) == (413, "Payload Too Large")
    assert files_on_disk() == []


def test_a_job_that_fails_is_told_in_their_words(deepgram, outcome):
    outcome.error = JobFailed("no sound in it", failure="audio_unreadable", job_id="x")

    answer = listen(deepgram)

    assert (answer.status_code, answer.json["err_code"]) == (400, "Bad Request")
    assert answer.json["err_msg"] == "no sound in it"


def test_a_busy_server_says_when_to_come_again(deepgram, outcome, monkeypatch):
    def refuse(services):
        raise ServerBusy("busy", retry_after_s=7)

    monkeypatch.setattr(views, "require_capacity", refuse)

    answer = listen(deepgram)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert answer.json["err_code"] == "SERVICE_UNAVAILABLE"
    assert outcome.submitted == []


def test_a_client_that_left_gets_no_more_than_a_line_in_the_log(deepgram, outcome):
    outcome.error = ClientGone()

    answer = listen(deepgram)

    assert (answer.status_code, answer.data) == (499, b"")
    assert outcome.waits[0]["keep_if_gone"] is False


def test_a_callback_is_answered_at_once_with_the_id(deepgram, outcome, monkeypatch):
    monkeypatch.setattr(views, "require_capacity", None)  # nobody waits, so nobody asks

    answer = listen(deepgram, f"?callback={CALLBACK}")

    assert (answer.status_code, answer.json) == (200, {"request_id": str(outcome.job_id)})
    assert outcome.waits == []
    assert outcome.submitted[0]["priority"] == Priority.NORMAL
    assert outcome.submitted[0]["webhook"] == {
        "url": CALLBACK,
        "style": "deepgram",
        "option": "callback",
    }


def test_a_callback_that_must_not_be_called_is_refused(deepgram, outcome, monkeypatch):
    def refuse(services, url, **_):
        raise WebhookRefused("callback: not there", option="callback", reason="private")

    monkeypatch.setattr(views, "job_webhook", refuse)

    answer = listen(deepgram, f"?callback={CALLBACK}")

    assert (answer.status_code, answer.json["err_msg"]) == (400, "callback: not there")
    assert outcome.submitted == []


def test_a_recording_from_elsewhere_is_fetched(deepgram, outcome, services, monkeypatch):
    upload = services.storage.new_upload(max_bytes=10)
    upload.write(b"audio")
    stored = upload.commit()
    asked = []

    def fetch(services, url):
        asked.append(url)
        return Fetched(stored, "talk.mp3", "audio/mpeg")

    monkeypatch.setattr(views, "fetch_recording", fetch)

    answer = deepgram.post("/v1/listen", json={"url": "https://example.org/talk.mp3"})

    assert answer.status_code == 200
    assert asked == ["https://example.org/talk.mp3"]
    assert isinstance(outcome.submitted[0]["stored"], StoredFile)
    assert outcome.submitted[0]["filename"] == "talk.mp3"


@pytest.mark.parametrize(
    ("body", "field"), [({}, "url"), ({"url": 1}, "url"), ([], "url"), ({"url": "x", "a": 1}, "a")]
)
def test_a_json_body_is_an_address_and_nothing_else(deepgram, body, field):
    answer = deepgram.post("/v1/listen", json=body)

    assert answer.status_code == 400
    assert field in answer.json["err_msg"]


def test_an_address_that_must_not_be_called_is_refused_as_url(deepgram, monkeypatch):
    def refuse(services, url):
        raise SourceRefused("a private address", option="source_url", reason="private")

    monkeypatch.setattr(views, "fetch_recording", refuse)

    answer = deepgram.post("/v1/listen", json={"url": "https://10.0.0.1/"})

    assert (answer.status_code, answer.json["err_code"]) == (400, "REMOTE_CONTENT_ERROR")
    assert answer.json["err_msg"] == "url: a private address"


def test_a_repetition_says_that_it_is_one(deepgram, outcome):
    outcome.is_replayed = True

    answer = listen(deepgram, headers={"Idempotency-Key": "once"})

    assert answer.headers["Idempotency-Replayed"] == "true"
    assert outcome.submitted[0]["idempotency_key"] == "once"


def test_no_key_is_told_in_their_words(deepgram, settings, app):
    answer = listen(deepgram, base_url="http://elsewhere.example")

    assert (answer.status_code, answer.json["err_code"]) == (401, "INVALID_AUTH")
