"""Deepgram's own client on the running server, with real speech."""

import asyncio
import json
from http.client import HTTPConnection
from itertools import pairwise

import pytest
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from deepgram.errors.bad_request_error import BadRequestError
from deepgram.types.listen_v1response import ListenV1Response

from scripts.samples import SAMPLES
from tests.acceptance.conftest import JOB_TIMEOUT_S, await_value

ONCE = {"max_retries": 0, "timeout_in_seconds": JOB_TIMEOUT_S}
KENNEDY = "ask not what your country can do for you"


def environment(server):
    base = server.url
    return DeepgramClientEnvironment(base=base, production=base, agent=base, agent_rest=base)


@pytest.fixture
def media(door_server, door_key):
    return DeepgramClient(api_key=door_key, environment=environment(door_server)).listen.v1.media


@pytest.fixture
def transcribe(media, short_speech):
    def transcribe(**asked):
        asked = {"request": short_speech.read_bytes(), "model": "tiny", **asked}
        return media.transcribe_file(request_options=ONCE, **asked)

    return transcribe


def plain(text):
    return "".join(letter for letter in text.lower() if letter.isalpha() or letter == " ")


def alternative(answer):
    return answer.results.channels[0].alternatives[0]


def refusal_of(call, *arguments, **asked):
    with pytest.raises(BadRequestError) as caught:
        call(*arguments, **asked)
    assert set(caught.value.body) == {"err_code", "err_msg", "request_id"}
    return caught.value.body


def test_a_recording_becomes_words_with_times(transcribe):
    answer = transcribe()

    found = alternative(answer)
    assert isinstance(answer, ListenV1Response)
    assert KENNEDY in plain(found.transcript)
    assert " ".join(word.punctuated_word for word in found.words) == found.transcript
    assert all(word.word == word.word.lower() for word in found.words)
    assert all(word.start <= word.end and 0 < word.confidence <= 1 for word in found.words)
    assert found.words[-1].end <= answer.metadata.duration
    assert 0 < found.confidence <= 1


def test_the_answer_tells_how_it_came_about(transcribe, door_http):
    answer = transcribe(model="nova-3", tag=["one", "two"], extra="ref:7")

    about = answer.metadata
    job = door_http.get(f"/transcribe/{about.request_id}").json()
    assert about.duration == pytest.approx(SAMPLES["jfk.wav"].duration_s, abs=0.1)
    assert (about.sha256, about.channels, about.models) == (job["sha256"], 1, ["tiny"])
    assert (about.tags, about.extra) == (["one", "two"], {"ref": "7"})
    assert (job["door"], job["priority"], job["status"]) == ("deepgram", "high", "completed")
    assert job["labels"] == {"tag": "one, two", "ref": "7"}


def test_the_language_is_found_out_or_given(transcribe):
    found = transcribe(detect_language=True).results.channels[0]
    given = transcribe(language="en-US").results.channels[0]

    assert (found.detected_language, given.detected_language) == ("en", None)
    assert KENNEDY in plain(given.alternatives[0].transcript)


def test_paragraphs_and_utterances_hold_the_whole_text(transcribe, speech):
    answer = transcribe(
        request=speech.read_bytes(),
        paragraphs=True,
        utterances=True,
        utt_split=0.3,
        smart_format=True,
    )

    found = alternative(answer)
    sentences = [
        sentence.text for part in found.paragraphs.paragraphs for sentence in part.sentences
    ]
    spoken = answer.results.utterances
    assert " ".join(sentences) == found.transcript
    assert " ".join(utterance.transcript for utterance in spoken) == found.transcript
    assert len(spoken) > len(found.paragraphs.paragraphs) > 1
    assert all(after.start - before.end >= 0.3 for before, after in pairwise(spoken))


def test_text_without_punctuation_has_none(transcribe):
    found = alternative(transcribe(punctuate=False))

    assert KENNEDY in found.transcript
    assert found.transcript == plain(found.transcript)


def test_terms_to_expect_may_be_repeated(transcribe, door_http):
    answer = transcribe(keyterm=["Kennedy", "inaugural address"])

    job = door_http.get(f"/transcribe/{answer.metadata.request_id}").json()
    assert job["options"]["initial_prompt"] == "Kennedy, inaugural address"
    assert KENNEDY in plain(alternative(answer).transcript)


def test_the_asynchronous_client_streams_its_recording(door_server, door_key, short_speech):
    async def pieces():
        content = short_speech.read_bytes()
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    async def ask():
        client = AsyncDeepgramClient(api_key=door_key, environment=environment(door_server))
        return await client.listen.v1.media.transcribe_file(
            request=pieces(), model="tiny", request_options=ONCE
        )

    assert KENNEDY in plain(alternative(asyncio.run(ask())).transcript)


def test_a_recording_from_elsewhere_is_fetched(media, neighbour, short_speech):
    neighbour.files["/talk.wav"] = short_speech.read_bytes()

    answer = media.transcribe_url(
        url=neighbour.url("/talk.wav"), model="tiny", request_options=ONCE
    )

    assert KENNEDY in plain(alternative(answer).transcript)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/talk.wav", "https://169.254.169.254/latest", "file:///etc/passwd"]
)
def test_an_address_that_must_not_be_called_is_refused(media, url):
    body = refusal_of(media.transcribe_url, url=url, request_options=ONCE)

    assert body["err_code"] == "REMOTE_CONTENT_ERROR"
    assert body["err_msg"].startswith("url: ")


def test_a_recording_that_is_not_there_is_told(media, neighbour):
    body = refusal_of(media.transcribe_url, url=neighbour.url("/none.wav"), request_options=ONCE)

    assert body["err_code"] == "REMOTE_CONTENT_ERROR"
    assert "404" in body["err_msg"]


def test_a_callback_gets_what_the_answer_would_have_been(transcribe, neighbour):
    accepted = transcribe(callback=neighbour.url("/deepgram"), utterances=True, tag="x")

    (message,) = await_value(
        lambda: neighbour.posted_to("/deepgram"), JOB_TIMEOUT_S, "the callback"
    )
    told = ListenV1Response.model_validate(json.loads(message.body))
    assert told.metadata.request_id == accepted.request_id
    assert told.metadata.tags == ["x"]
    assert KENNEDY in plain(alternative(told).transcript)
    assert told.results.utterances


def test_a_callback_that_must_not_be_called_is_refused(transcribe):
    body = refusal_of(transcribe, callback="http://127.0.0.1:1/hook")

    assert body["err_msg"].startswith("callback: ")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"diarize": True}, "diarize"),
        ({"diarize_model": "latest"}, "diarize_model"),
        ({"multichannel": True}, "multichannel"),
        ({"redact": "pci"}, "redact"),
        ({"summarize": "v2"}, "summarize"),
        ({"search": ["Bob"]}, "search"),
        ({"replace": "a:b"}, "replace"),
        ({"language": "multi"}, "language"),
        ({"language": "xx"}, "language"),
        ({"model": "nova-99"}, "model"),
        ({"encoding": "linear16"}, "encoding"),
        ({"callback_method": "PUT"}, "callback_method"),
        ({"utt_split": -1}, "utt_split"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(transcribe, asked, field):
    body = refusal_of(transcribe, **asked)

    assert body["err_code"] == "INVALID_QUERY_PARAMETER"
    assert field in body["err_msg"]


def test_an_unknown_parameter_is_refused_by_name(media, short_speech):
    options = {**ONCE, "additional_query_parameters": {"colour": "red"}}

    body = refusal_of(
        media.transcribe_file, request=short_speech.read_bytes(), request_options=options
    )

    assert "colour" in body["err_msg"]


def test_what_is_no_recording_is_a_bad_request(media):
    body = refusal_of(media.transcribe_file, request=b"no sound at all", request_options=ONCE)

    assert body["err_code"] == "Bad Request"


def test_a_wrong_key_is_told_in_their_words(door_server, short_speech):
    stranger = DeepgramClient(api_key="wrong", environment=environment(door_server))

    with pytest.raises(ApiError) as caught:
        stranger.listen.v1.media.transcribe_file(
            request=short_speech.read_bytes(), request_options=ONCE
        )

    assert (caught.value.status_code, caught.value.body["err_code"]) == (401, "INVALID_AUTH")


def hang_up_in_the_middle(door_server, door_key, speech, **headers):
    """Ask for a long transcript, and leave once its job runs. Returns the job."""
    before = set(jobs_of(door_server))
    connection = HTTPConnection(door_server.url.removeprefix("http://"), timeout=JOB_TIMEOUT_S)
    connection.request(
        "POST",
        "/v1/listen?model=tiny",
        speech.read_bytes(),
        {"Authorization": f"Token {door_key}", "Content-Type": "audio/wav", **headers},
    )
    (job_id,) = await_value(
        lambda: set(jobs_of(door_server)) - before, JOB_TIMEOUT_S, "the job of the request"
    )
    door_server.await_start(job_id)
    connection.close()
    return job_id


def jobs_of(door_server):
    rows = door_server.query("SELECT id FROM transcription_jobs WHERE door = 'deepgram'")
    return [str(job_id) for (job_id,) in rows]


@pytest.mark.parametrize(
    ("headers", "status"), [({}, "cancelled"), ({"X-Keep-Job": "true"}, "completed")]
)
def test_a_client_that_hangs_up_takes_its_job_along_unless_it_says_otherwise(
    door_server, door_key, long_speech, headers, status
):
    job_id = hang_up_in_the_middle(door_server, door_key, long_speech, **headers)

    assert door_server.await_job(job_id)["status"] == status
