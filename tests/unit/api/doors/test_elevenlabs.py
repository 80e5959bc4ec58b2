"""ElevenLabs' API by its own client, on real HTTP parsing and jobs in memory."""

import wave
from dataclasses import replace
from io import BytesIO
from uuid import UUID, uuid4

import httpx
import pytest
from elevenlabs import ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.core.request_options import RequestOptions
from elevenlabs.errors import NotFoundError, UnprocessableEntityError
from elevenlabs.types import (
    ExportOptions_Txt,
    SpeechToTextChunkResponseModel,
    SpeechToTextWebhookResponseModel,
)

from api.current import EVENTS
from api.doors.elevenlabs import recordings, tokens, views
from domain.errors import (
    JobCancelled,
    JobStateConflict,
    ScopeMissing,
    SourceRefused,
    TooManyJobs,
)
from domain.lifecycle import Priority
from services.event_hub import EventHub
from services.fetching import Fetched
from services.single_use_tokens import IssuedToken
from services.synchronous import ClientGone
from tests.unit.api.doors.elevenlabs_door import Door
from tests.unit.api.fake_jobs import NOW

URL = "/v1/speech-to-text"
ONCE = RequestOptions(max_retries=0)


@pytest.fixture
def door(jobs, monkeypatch):
    fake = Door(jobs)
    fake.install(monkeypatch)
    return fake


@pytest.fixture
def http(app, services, door, monkeypatch):
    monkeypatch.setitem(app.extensions, EVENTS, EventHub(services))
    with httpx.Client(
        transport=httpx.WSGITransport(app=app), base_url="http://localhost", timeout=30
    ) as client:
        yield client


@pytest.fixture
def speech(http):
    """The official client."""
    return ElevenLabs(api_key="none", base_url="http://localhost", httpx_client=http)


def convert(speech, content=b"RIFF", **fields):
    options = {"model_id": "scribe_v2", "file": ("talk.mp3", content), **fields}
    return speech.speech_to_text.convert(**options, request_options=ONCE)


def submit_again(jobs, monkeypatch, **first):
    """From now on every submission is a repetition; of a job with these fields."""

    def submit_once(services, stored, options, submission):
        made = jobs.submit_once(services, stored, options, submission)
        jobs.jobs[made.job_id] = replace(jobs.jobs[made.job_id], **first)
        return replace(made, is_replayed=True)

    monkeypatch.setattr(views, "submit_once", submit_once)


def test_the_least_that_the_client_can_ask_for_becomes_an_urgent_job(speech, jobs, settings):
    answer = convert(speech)

    (call,) = jobs.submitted
    assert isinstance(answer, SpeechToTextChunkResponseModel)
    assert answer.text == "Hello there."
    assert UUID(answer.transcription_id) in jobs.jobs
    assert (call["door"], call["priority"]) == ("elevenlabs", Priority.HIGH)
    assert (call["filename"], call["options"].model_size) == ("talk.mp3", settings.model_size)
    assert call["options"].word_timestamps is True


def test_everything_that_is_supported_arrives(speech, jobs):
    convert(
        speech,
        model_id="tiny",
        language_code="eng",
        temperature=0.0,
        seed=3,
        timestamps_granularity="character",
        keyterms=["Ada Lovelace", "Babbage"],
        additional_formats=[{"format": "txt", "include_timestamps": False}],
        diarize=False,
        tag_audio_events=False,
        no_verbatim=False,
    )

    (call,) = jobs.submitted
    options = call["options"]
    assert (options.model_size, options.language, options.temperature) == ("tiny", "en", 0.0)
    assert options.initial_prompt == "Ada Lovelace, Babbage"
    assert call["door_fields"] == {
        "timestamps_granularity": "character",
        "additional_formats": [{"format": "txt", "include_timestamps": False}],
    }


def test_a_thousand_keyterms_are_refused_by_name_and_not_as_a_form_of_many_parts(speech):
    with pytest.raises(UnprocessableEntityError) as caught:
        convert(speech, keyterms=[f"t{number}" for number in range(1000)])

    (fault,) = caught.value.body["detail"]
    assert (fault["loc"], fault["type"]) == (["body", "keyterms"], "not_supported")


def test_additional_formats_are_in_the_answer(speech):
    answer = convert(speech, additional_formats=[{"format": "txt", "include_timestamps": False}])

    (item,) = answer.additional_formats
    assert (item.requested_format, item.content) == ("txt", "Hello there.\n")
    assert item.is_base_64_encoded is False


def test_options_of_formats_that_are_null_are_not_given(speech):
    options = {"include_timestamps": None, "include_speakers": None, "max_segment_chars": None}

    answer = convert(speech, additional_formats=[ExportOptions_Txt(**options)])

    assert answer.additional_formats[0].content.startswith("[00:00:00.000 --> ")


def test_json_may_come_as_a_part_of_its_own_type(http, jobs):
    part = ("blob", b'[{"format": "txt"}]', "application/json")

    answer = http.post(
        URL, data={"model_id": "tiny"}, files={"additional_formats": part, "file": ("a", b"x")}
    )

    assert answer.status_code == 200
    assert jobs.submitted[0]["door_fields"]["additional_formats"][0]["format"] == "txt"


def test_bare_samples_become_a_wave_file(speech, files_on_disk):
    samples = bytes(range(200))

    convert(speech, samples, file_format="pcm_s16le_16")

    (path,) = files_on_disk()
    with wave.open(BytesIO(path.read_bytes())) as recording:
        assert recording.getparams()[:4] == (1, 2, 16_000, 100)
        assert recording.readframes(100) == samples


def test_an_odd_number_of_bytes_is_no_sixteen_bit_samples(speech, files_on_disk):
    with pytest.raises(UnprocessableEntityError) as caught:
        convert(speech, b"abc", file_format="pcm_s16le_16")

    assert caught.value.body["detail"][0]["loc"] == ["body", "file_format"]
    assert files_on_disk() == []


@pytest.mark.parametrize("name", ["source_url", "cloud_storage_url"])
def test_a_recording_may_be_fetched(speech, services, jobs, monkeypatch, name):
    def fetch(_services, url):
        upload = services.storage.new_upload(max_bytes=100)
        upload.write(url.encode())
        return Fetched(upload.commit(), "a.mp3", "audio/mpeg")

    monkeypatch.setattr(recordings, "fetch_recording", fetch)

    plain = {"file": None, name: "https://example.org/ab"}
    convert(speech, **plain)
    convert(speech, **plain, file_format="pcm_s16le_16")

    as_it_was, as_wave = jobs.submitted
    assert (as_it_was["filename"], as_it_was["content_type"]) == ("a.mp3", "audio/mpeg")
    assert as_wave["content_type"] == "audio/wav"
    assert as_wave["stored"].size_bytes == as_it_was["stored"].size_bytes + 44
    assert services.storage.size_of(as_wave["stored"].key) is not None


@pytest.mark.parametrize("name", ["source_url", "cloud_storage_url"])
def test_a_refused_address_says_why(speech, monkeypatch, name):
    def fetch(_services, _url):
        raise SourceRefused("the address leads into this network", option="source_url")

    monkeypatch.setattr(recordings, "fetch_recording", fetch)

    with pytest.raises(UnprocessableEntityError) as caught:
        convert(speech, **{"file": None, name: "https://localhost/a"})

    detail = caught.value.body["detail"]
    assert (detail["status"], detail["param"]) == ("source_url_refused", name)


def test_a_webhook_is_promised_at_once(speech, jobs, door):
    answer = convert(speech, webhook=True, webhook_metadata={"order": 7})

    (call,) = jobs.submitted
    assert isinstance(answer, SpeechToTextWebhookResponseModel)
    assert UUID(answer.transcription_id) in jobs.jobs
    assert answer.request_id == call["request_id"]
    assert call["priority"] == Priority.NORMAL
    assert call["webhook"]["style"] == "elevenlabs"
    assert door.told[0]["data"] == {"metadata": {"order": 7}}


def test_a_webhook_that_is_not_there_is_refused_before_the_job_is_made(speech, jobs, files_on_disk):
    with pytest.raises(UnprocessableEntityError) as caught:
        convert(speech, webhook=True, webhook_id=str(uuid4()))

    assert caught.value.body["detail"][0]["loc"] == ["body", "webhook_id"]
    assert (jobs.submitted, files_on_disk()) == ([], [])


@pytest.mark.parametrize("truth", ["true", "True", "1"])
def test_a_job_with_a_webhook_needs_no_capacity_now(http, door, truth):
    door.is_busy = True

    answer = http.post(URL, data={"model_id": "tiny", "webhook": truth}, files={"file": b"x"})

    assert (answer.status_code, len(door.told)) == (202, 1)


@pytest.mark.parametrize("given", [{}, {"file": None, "source_url": "https://example.org/a"}])
def test_a_busy_server_says_when_to_come_again(speech, door, jobs, given):
    door.is_busy = True

    with pytest.raises(ApiError) as caught:
        convert(speech, **given)

    assert caught.value.status_code == 429
    assert caught.value.headers["retry-after"] == "17"
    assert caught.value.body["detail"]["status"] == "system_busy"
    assert jobs.submitted == []


def test_faults_of_fields_are_a_list(speech, files_on_disk):
    with pytest.raises(UnprocessableEntityError) as caught:
        convert(
            speech,
            diarize=True,
            language_code="xx",
            additional_formats=[{"format": "txt"}, {"format": "pdf"}],
        )

    faults = {tuple(fault["loc"]): fault["type"] for fault in caught.value.body["detail"]}
    assert faults == {
        ("body", "diarize"): "not_supported",
        ("body", "language_code"): "value_error",
        ("body", "additional_formats", 1, "format"): "not_supported",
    }
    assert files_on_disk() == []


def test_a_field_of_the_address_is_named_as_such(speech):
    with pytest.raises(UnprocessableEntityError) as caught:
        convert(speech, enable_logging=False)

    assert caught.value.body["detail"][0]["loc"] == ["query", "enable_logging"]


def test_a_field_that_nobody_knows_is_refused(http):
    answer = http.post(URL, data={"model_id": "tiny", "modle": "x"}, files={"file": b"x"})

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "modle"]


def test_what_options_call_otherwise_is_named_as_the_client_knows_it(speech):
    with pytest.raises(UnprocessableEntityError) as caught:
        convert(speech, model_id="tiny", language_code="yue")

    assert caught.value.body["detail"][0]["loc"] == ["body", "language_code"]


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data"])
def test_what_is_no_form_is_answered_in_this_shape(http, content_type):
    answer = http.post(URL, content=b"{}", headers={"Content-Type": content_type})

    assert answer.status_code in (400, 415)
    assert set(answer.json()["detail"]) == {"status", "message", "request_id"}


def test_an_empty_file_is_named(speech):
    with pytest.raises(UnprocessableEntityError) as caught:
        convert(speech, b"")

    assert caught.value.body["detail"][0]["loc"] == ["body", "file"]


def test_a_job_that_ends_without_a_result_has_the_reason_in_this_shape(speech, door):
    door.failure = JobCancelled("the job was cancelled", job_id="its-id")

    with pytest.raises(ApiError) as caught:
        convert(speech)

    detail = caught.value.body["detail"]
    assert (detail["status"], detail["transcription_id"]) == ("job_cancelled", "its-id")


def test_a_tenant_without_room_is_told_so_in_this_shape(speech, limits):
    limits.no_room = TooManyJobs("ten jobs wait already", limit="waiting_jobs", maximum=10)

    with pytest.raises(ApiError) as caught:
        convert(speech)

    assert caught.value.status_code == 429
    assert caught.value.body["detail"]["status"] == "too_many_concurrent_requests"
    assert int(caught.value.headers["retry-after"]) > 0


def test_a_submission_that_is_sent_again_says_so(http, jobs, monkeypatch):
    submit_again(jobs, monkeypatch)

    answer = http.post(
        URL,
        data={"model_id": "tiny"},
        files={"file": b"x"},
        headers={"Idempotency-Key": "one"},
    )

    (call,) = jobs.submitted
    assert (answer.status_code, call["idempotency_key"]) == (200, "one")
    assert answer.headers["Idempotency-Replayed"] == "true"


def test_a_repetition_leaves_the_job_of_the_first_request_alone(http, jobs, door, monkeypatch):
    form = {"data": {"model_id": "tiny"}, "files": {"file": b"x"}}

    http.post(URL, **form)
    submit_again(jobs, monkeypatch)
    http.post(URL, **form, headers={"Idempotency-Key": "one", "X-Keep-Job": "false"})

    assert door.kept == [False, True]


def test_a_repetition_names_the_request_that_the_webhook_will_name(http, jobs, monkeypatch):
    submit_again(jobs, monkeypatch, request_id="the-first")

    answer = http.post(
        URL,
        data={"model_id": "tiny", "webhook": "true"},
        files={"file": b"x"},
        headers={"Idempotency-Key": "one"},
    )

    assert (answer.status_code, answer.json()["request_id"]) == (202, "the-first")


def test_a_client_that_is_gone_gets_no_answer(http, door):
    door.failure = ClientGone()

    answer = http.post(URL, data={"model_id": "tiny"}, files={"file": b"x"})

    assert (answer.status_code, answer.content) == (499, b"")


def test_a_transcript_is_there_later(speech):
    first = convert(speech, timestamps_granularity="none")

    again = speech.speech_to_text.transcripts.get(first.transcription_id)

    assert again == first


def test_any_finished_job_can_be_read_this_way(speech, jobs):
    job = jobs.add(status="completed", door="openai", door_fields={"timestamps_granularity": 1})

    answer = speech.speech_to_text.transcripts.get(str(job.job_id))

    assert answer.text == "Hello there."


@pytest.mark.parametrize("given", [str(uuid4()), "no-id"])
@pytest.mark.parametrize("verb", ["get", "delete"])
def test_a_transcript_that_is_not_there_is_not_found(http, speech, verb, given):
    answer = http.request(verb, f"{URL}/transcripts/{given}")

    assert answer.status_code == 404
    assert answer.json()["detail"]["status"] == "transcription_not_found"
    with pytest.raises(NotFoundError):
        speech.speech_to_text.transcripts.get(given)


def test_a_transcript_that_is_not_finished_is_said_to_be_so(http, jobs):
    job = jobs.add(status="processing")

    answer = http.get(f"{URL}/transcripts/{job.job_id}")

    assert answer.status_code == 409
    assert answer.json()["detail"]["status"] == "transcription_not_ready"


@pytest.mark.parametrize("status", ["completed", "pending", "processing"])
def test_a_transcript_is_removed_whatever_becomes_of_its_job(speech, jobs, status):
    job = jobs.add(status=status, completed_at=NOW)

    speech.speech_to_text.transcripts.delete(str(job.job_id))

    assert jobs.jobs == {}


def test_a_job_that_ends_while_it_is_removed_is_removed_all_the_same(speech, jobs, monkeypatch):
    def end(_services, job_id, **_):
        jobs.jobs[job_id] = replace(jobs.jobs[job_id], status="completed")
        raise JobStateConflict("the job is completed")

    monkeypatch.setattr(views, "cancel_job", end)
    monkeypatch.setattr(views, "wait_for_change", lambda _, job_id, **__: jobs.jobs[job_id])
    job = jobs.add(status="processing")

    speech.speech_to_text.transcripts.delete(str(job.job_id))

    assert jobs.jobs == {}


def test_a_worker_that_does_not_stop_in_time_keeps_its_job(http, jobs, monkeypatch):
    monkeypatch.setattr(views, "DELETE_WAIT_S", 0.0)
    job = jobs.add(status="processing")

    answer = http.delete(f"{URL}/transcripts/{job.job_id}")

    assert answer.status_code == 409
    assert jobs.jobs[job.job_id].cancel_requested is True


def test_a_token_is_made_for_one_request(speech, monkeypatch):
    made = []

    def issue(_services, principal, scopes, *, ttl_s):
        made.append((principal.tenant, scopes, ttl_s))
        return IssuedToken("st_secret", NOW, scopes)

    monkeypatch.setattr(tokens, "issue_token", issue)

    answer = speech.tokens.single_use.create("batch_scribe")
    speech.tokens.single_use.create("realtime_scribe")

    assert answer.token == "st_secret"
    assert made == [("default", ("submit",), 900), ("default", ("realtime",), 900)]


def test_a_token_for_something_else_is_refused(speech):
    with pytest.raises(UnprocessableEntityError) as caught:
        speech.tokens.single_use.create("tts_websocket")

    assert caught.value.body["detail"][0]["loc"] == ["path", "token_type"]


def test_a_token_for_more_than_the_key_may_is_refused(http, monkeypatch):
    def issue(*_, **__):
        raise ScopeMissing("this key lacks the scope submit", scope="submit")

    monkeypatch.setattr(tokens, "issue_token", issue)

    answer = http.post("/v1/single-use-token/batch_scribe")

    assert answer.status_code == 403
    assert answer.json()["detail"]["status"] == "missing_permissions"
