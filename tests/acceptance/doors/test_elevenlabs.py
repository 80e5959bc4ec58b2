"""ElevenLabs' own client against the running server, with real speech."""

import asyncio
import json
import socket
import wave

import httpx
import pytest
from elevenlabs import AsyncElevenLabs, ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.core.request_options import RequestOptions
from elevenlabs.errors import NotFoundError, UnauthorizedError, UnprocessableEntityError

from scripts.samples import SAMPLES, sample_path
from tests.acceptance.conftest import await_value

KENNEDY = "ask not what your country can do for you"
PATIENT = RequestOptions(timeout_in_seconds=180, max_retries=0)
WEBHOOK_TIMEOUT_S = 120


def plain(text):
    return "".join(c for c in text.lower() if c.isalnum() or c == " ")


@pytest.fixture(scope="module")
def speech(door_server, door_key):
    return ElevenLabs(api_key=door_key, base_url=door_server.url)


@pytest.fixture
def convert(speech):
    def call(**fields):
        given = {"model_id": "scribe_v2", **fields}
        if "source_url" not in given:
            given.setdefault("file", sample_path("jfk.wav").read_bytes())
        return speech.speech_to_text.convert(**given, request_options=PATIENT)

    return call


@pytest.fixture
def stranger(door_http, door_server):
    """A client of another tenant."""
    door_http.post("/admin/tenants", json={"name": "strangers"})
    made = door_http.post(
        "/admin/keys", json={"tenant": "strangers", "name": "x", "scopes": ["submit", "read"]}
    )
    assert made.status_code == 201, made.text
    return ElevenLabs(api_key=made.json()["key"], base_url=door_server.url)


def test_a_recording_becomes_a_transcript_with_the_times_of_its_words(convert):
    answer = convert()

    words = [word for word in answer.words if word.type == "word"]
    assert KENNEDY in plain(answer.text)
    assert answer.language_code == "eng"
    assert 0 < answer.language_probability <= 1
    assert answer.audio_duration_secs == pytest.approx(SAMPLES["jfk.wav"].duration_s, abs=0.1)
    assert "".join(word.text for word in answer.words) == answer.text
    assert len(words) == len(answer.text.split())
    assert all(word.start <= word.end and word.logprob <= 0 for word in answer.words)
    assert [word.start for word in words] == sorted(word.start for word in words)
    assert words[-1].end <= answer.audio_duration_secs + 0.1
    # Each word has its own: the words add up to the text, and nothing had to be shared out.
    assert len({word.logprob for word in words}) > len(words) / 2


def test_the_asynchronous_client_gets_the_same(door_server, door_key, convert):
    async def ask():
        client = AsyncElevenLabs(api_key=door_key, base_url=door_server.url)
        return await client.speech_to_text.convert(
            model_id="scribe_v1",
            file=sample_path("jfk.wav").read_bytes(),
            request_options=PATIENT,
        )

    answer = asyncio.run(ask())

    assert answer.text == convert().text


def test_a_language_may_be_named_by_three_letters(convert):
    answer = convert(language_code="eng", temperature=0.0, keyterms=["Americans", "country"])

    assert (answer.language_code, answer.language_probability) == ("eng", 1.0)
    assert KENNEDY in plain(answer.text)


def test_characters_have_times_within_their_words(convert):
    answer = convert(timestamps_granularity="character")

    word = next(word for word in answer.words if word.type == "word")
    assert "".join(c.text for c in word.characters) == word.text
    assert (word.characters[0].start, word.characters[-1].end) == (word.start, word.end)


def test_every_additional_format_is_written(convert):
    answer = convert(
        timestamps_granularity="none",
        additional_formats=[
            {"format": "srt", "max_characters_per_line": 20, "max_segment_chars": 40},
            {"format": "txt", "include_timestamps": False, "max_characters_per_line": 30},
            {"format": "html"},
            {"format": "segmented_json", "max_segment_duration_s": 3},
        ],
    )

    srt, txt, html, segmented = [item.content for item in answer.additional_formats]
    lines = [line for line in srt.splitlines() if line and "-->" not in line]
    segments = json.loads(segmented)["segments"]
    assert max(map(len, lines)) <= 20
    assert max(map(len, txt.splitlines())) <= 30
    assert " ".join(txt.split()) == answer.text
    assert html.startswith("<!DOCTYPE html>")
    assert all(s["end"] - s["start"] <= 3 or len(s["words"]) == 1 for s in segments)
    assert len(segments) > 2
    assert all(word.start is None for word in answer.words)


def test_bare_samples_are_understood(convert):
    with wave.open(str(sample_path("jfk.wav"))) as recording:
        samples = recording.readframes(recording.getnframes())

    answer = convert(file=samples, file_format="pcm_s16le_16")

    assert KENNEDY in plain(answer.text)


def test_a_recording_is_fetched_from_its_address(convert, neighbour):
    neighbour.files["/jfk.wav"] = sample_path("jfk.wav").read_bytes()

    answer = convert(source_url=neighbour.url("/jfk.wav"))

    assert KENNEDY in plain(answer.text)


def test_an_address_within_the_network_is_refused(convert):
    with pytest.raises(UnprocessableEntityError) as caught:
        convert(source_url="https://127.0.0.1:1/jfk.wav")

    assert caught.value.body["detail"]["status"] == "source_url_refused"


def test_a_transcript_is_there_until_it_is_removed(speech, convert, stranger):
    made = convert(timestamps_granularity="character")
    transcripts = speech.speech_to_text.transcripts

    again = transcripts.get(made.transcription_id)
    with pytest.raises(NotFoundError):
        stranger.speech_to_text.transcripts.get(made.transcription_id)
    with pytest.raises(ApiError) as caught:
        stranger.speech_to_text.transcripts.delete(made.transcription_id)
    transcripts.delete(made.transcription_id)

    assert again == made
    assert caught.value.status_code == 404
    with pytest.raises(NotFoundError):
        transcripts.get(made.transcription_id)


def test_a_job_that_runs_is_stopped_and_removed(speech, door_http):
    with sample_path("two_cities.wav").open("rb") as recording:
        job_id = door_http.post(
            "/transcribe/", files={"file": recording}, data={"model_size": "base"}
        ).json()["job_id"]
    await_value(
        lambda: door_http.get(f"/transcribe/{job_id}").json()["status"] == "processing",
        60,
        "the job to start",
    )

    speech.speech_to_text.transcripts.delete(job_id)

    assert door_http.get(f"/transcribe/{job_id}").status_code == 404


def test_without_a_good_key_nobody_gets_in(door_server):
    speech = ElevenLabs(api_key="wrong", base_url=door_server.url)

    with pytest.raises(UnauthorizedError) as caught:
        speech.speech_to_text.transcripts.get("any")
    with pytest.raises(ApiError) as refused:
        speech.speech_to_text.convert(model_id="scribe_v2", file=b"x", request_options=PATIENT)

    assert caught.value.body["detail"]["status"] == "invalid_api_key"
    assert refused.value.status_code == 401


def test_a_token_is_good_for_one_request(speech, door_server):
    token = speech.tokens.single_use.create("batch_scribe").token

    def ask():
        return httpx.post(
            f"{door_server.url}/v1/speech-to-text",
            params={"token": token},
            data={"model_id": "scribe_v2"},
            files={"file": sample_path("jfk.wav").read_bytes()},
            timeout=180,
        )

    first, second = ask(), ask()

    assert (first.status_code, second.status_code) == (200, 401)
    assert KENNEDY in plain(first.json()["text"])


def test_what_is_not_supported_is_refused_by_name(convert):
    with pytest.raises(UnprocessableEntityError) as caught:
        convert(diarize=True, tag_audio_events=True, entity_detection="all")

    faults = {fault["loc"][-1]: fault["type"] for fault in caught.value.body["detail"]}
    assert faults == dict.fromkeys(
        ["diarize", "tag_audio_events", "entity_detection"], "not_supported"
    )


def test_what_is_no_recording_is_refused(convert):
    with pytest.raises(UnprocessableEntityError) as caught:
        convert(file=b"this is no sound" * 100)

    assert caught.value.body["detail"]["status"] == "audio_unreadable"


def test_a_webhook_brings_the_transcript(convert, speech, door_http, neighbour):
    endpoint = door_http.post(
        "/webhooks/", json={"url": neighbour.url("/elevenlabs"), "events": ["completed"]}
    ).json()

    receipt = convert(webhook=True, webhook_id=endpoint["id"], webhook_metadata={"order": {"n": 7}})
    told = await_value(lambda: neighbour.posted_to("/elevenlabs"), WEBHOOK_TIMEOUT_S, "the webhook")
    door_http.delete(f"/webhooks/{endpoint['id']}")

    (message,) = told
    event = speech.webhooks.construct_event(
        message.body.decode(), message.headers["elevenlabs-signature"], endpoint["secret"]
    )
    data = event["data"]
    assert event["type"] == "speech_to_text_transcription"
    assert (data["request_id"], data["webhook_metadata"]) == (
        receipt.request_id,
        {"order": {"n": 7}},
    )
    assert data["transcription"]["transcription_id"] == receipt.transcription_id
    assert KENNEDY in plain(data["transcription"]["text"])


def test_a_webhook_needs_an_endpoint(convert):
    with pytest.raises(UnprocessableEntityError) as caught:
        convert(webhook=True)

    assert caught.value.body["detail"][0]["loc"] == ["body", "webhook"]


def test_a_job_whose_client_left_is_cancelled(door_server, door_http, door_key):
    request = door_http.build_request(
        "POST",
        "/v1/speech-to-text",
        data={"model_id": "base"},
        files={"file": ("left.wav", sample_path("two_cities.wav").read_bytes())},
    )
    host, _, port = door_server.url.removeprefix("http://").partition(":")

    with socket.create_connection((host, int(port))) as connection:
        head = f"POST {request.url.raw_path.decode()} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        connection.sendall(head.encode() + b"\r\n" + request.read())
        (job,) = await_value(lambda: jobs_named(door_http, "left.wav"), 60, "the job")

    ended = await_value(
        lambda: [
            found
            for found in jobs_named(door_http, "left.wav")
            if found["job_id"] == job["job_id"] and found["status"] == "cancelled"
        ],
        60,
        "the job to be cancelled",
    )
    assert len(ended) == 1


def jobs_named(door_http, name):
    return door_http.get("/jobs/", params={"filename": name, "door": "elevenlabs"}).json()["jobs"]
