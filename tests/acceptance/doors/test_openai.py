"""OpenAI's own client on the running server, with real speech."""

import asyncio
from http.client import HTTPConnection

import httpx
import openai
import pytest

from scripts.samples import SAMPLES
from tests.acceptance.conftest import JOB_TIMEOUT_S, await_value, repeat

ARRAYS = ["timestamp_granularities[]", "timestamp_granularities"]


@pytest.fixture
def client(door_server, door_key):
    with openai.OpenAI(
        base_url=f"{door_server.url}/v1", api_key=door_key, timeout=JOB_TIMEOUT_S, max_retries=0
    ) as made:
        yield made


@pytest.fixture
def transcribe(client, short_speech):
    def call(**asked):
        return client.audio.transcriptions.create(file=short_speech, model="tiny", **asked)

    return call


@pytest.fixture(scope="session")
def ten_minutes(speech, tmp_path_factory):
    """More windows than are decoded side by side."""
    return repeat(speech, 14, tmp_path_factory.mktemp("speech") / "ten-minutes.wav")


@pytest.fixture
def busy_server(make_server, ten_minutes):
    """A server with one child, which has ten minutes of speech to work on."""
    made = make_server(SYNC_MAX_WAIT_S="0.1", CELERY_CONCURRENCY="1")
    job_id = made.submit(ten_minutes, priority="high")
    made.await_start(job_id)
    yield made
    made.client.delete(f"/transcribe/{job_id}")
    made.stop()


def words_of(text):
    kept = (c for c in text.lower().replace("-", " ") if c.isalpha() or c.isspace())
    return "".join(kept).split()


def is_the_speech(text):
    """Whether this is what is said in the recording, but for a word or two."""
    said, heard = words_of(SAMPLES["jfk.wav"].text), words_of(text)
    return len(set(said) - set(heard)) <= 1 and abs(len(said) - len(heard)) <= 2


def test_json_is_the_text_with_its_usage(transcribe):
    answer = transcribe()

    assert is_the_speech(answer.text)
    assert (answer.usage.type, answer.usage.seconds) == ("duration", 11)


def test_the_answer_names_its_job_which_is_urgent_and_the_callers_own(
    client, short_speech, door_http
):
    raw = client.audio.transcriptions.with_raw_response.create(
        file=short_speech, model="whisper-1", temperature=0, prompt="A speech.", language="en"
    )

    job = door_http.get(f"/transcribe/{raw.headers['x-job-id']}").json()
    assert is_the_speech(raw.parse().text)
    assert (job["status"], job["priority"], job["door"]) == ("completed", "high", "openai")
    assert job["options"]["temperature"] == 0.0
    assert job["options"]["initial_prompt"] == "A speech."
    assert (job["language"], job["model_used"]) == ("en", "tiny")


@pytest.mark.parametrize("name", ["text", "srt", "vtt"])
def test_texts_are_plain(transcribe, name):
    text = transcribe(response_format=name)

    assert isinstance(text, str)
    assert "country" in text
    assert text.startswith({"srt": "1\n00:00:0", "vtt": "WEBVTT\n\n00:00:0"}.get(name, "And so"))


def test_verbose_json_has_segments_and_words_as_asked_for(transcribe):
    answer = transcribe(response_format="verbose_json", timestamp_granularities=["word", "segment"])

    assert (answer.language, round(answer.duration)) == ("english", 11)
    assert is_the_speech(answer.text)
    assert is_the_speech(" ".join(word.word for word in answer.words))
    assert all(0 <= word.start <= word.end <= 11.1 for word in answer.words)
    assert "".join(segment.text for segment in answer.segments).strip() == answer.text
    assert answer.segments[0].avg_logprob < 0
    assert answer.segments[0].tokens


@pytest.mark.parametrize(
    ("asked", "has_words", "has_segments"), [(["word"], True, False), (None, False, True)]
)
def test_verbose_json_has_no_more_than_was_asked_for(transcribe, asked, has_words, has_segments):
    given = {} if asked is None else {"timestamp_granularities": asked}

    answer = transcribe(response_format="verbose_json", **given)

    assert (bool(answer.words), bool(answer.segments)) == (has_words, has_segments)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_list_may_come_with_or_without_brackets(door_http, short_speech, name):
    with short_speech.open("rb") as stream:
        answer = door_http.post(
            "/v1/audio/transcriptions",
            files={"file": stream},
            data={"model": "tiny", "response_format": "verbose_json", name: ["word", "segment"]},
        )

    assert answer.status_code == 200, answer.text
    assert answer.json()["words"]
    assert answer.json()["segments"]


@pytest.mark.parametrize("strategy", ["auto", {"type": "server_vad"}])
def test_the_server_may_be_left_to_cut_the_recording(transcribe, strategy):
    assert is_the_speech(transcribe(chunking_strategy=strategy).text)


def test_gpt_transcribe_names_the_language_that_it_heard(client, short_speech):
    answer = client.audio.transcriptions.create(
        file=short_speech, model="gpt-transcribe", languages=["en"], keywords=["Americans"]
    )

    assert is_the_speech(answer.text)
    assert [language.code for language in answer.languages] == ["en"]


@pytest.mark.parametrize("name", ["json", "text", "srt", "verbose_json", "vtt"])
def test_a_translation_comes_in_every_format(client, short_speech, name):
    answer = client.audio.translations.create(
        file=short_speech, model="whisper-1", response_format=name
    )

    text = answer if isinstance(answer, str) else answer.text
    assert "country" in text
    if name == "verbose_json":
        assert answer.language == "english"


def test_a_stream_tells_the_text_while_it_is_decoded(client, ten_minutes, door_http):
    with client.audio.transcriptions.create(
        file=ten_minutes, model="gpt-4o-transcribe", stream=True
    ) as stream:
        first = next(stream)
        job = door_http.get(f"/transcribe/{stream.response.headers['x-job-id']}").json()
        *others, done = stream

    deltas = [first, *others]
    assert job["status"] == "processing"
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas) == done.text
    assert done.text.count("it was the worst of times") > 7
    assert done.usage.type == "tokens"
    assert done.usage.output_tokens > 1000
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens


def test_a_job_that_ends_without_a_result_ends_its_stream_with_an_error(
    client, long_speech, door_http
):
    stream = client.audio.transcriptions.create(
        file=long_speech, model="gpt-4o-transcribe", stream=True
    )
    door_http.delete(f"/transcribe/{stream.response.headers['x-job-id']}").raise_for_status()

    with stream, pytest.raises(openai.APIError) as ended:
        list(stream)

    assert (ended.value.code, ended.value.type) == ("job_cancelled", "invalid_request_error")


def test_whisper_1_is_answered_at_once_though_a_stream_was_asked_for(door_http, short_speech):
    with short_speech.open("rb") as stream:
        answer = door_http.post(
            "/v1/audio/transcriptions",
            files={"file": stream},
            data={"model": "whisper-1", "stream": "true"},
        )

    assert answer.headers["Content-Type"] == "application/json"
    assert is_the_speech(answer.json()["text"])


def test_many_requests_at_once_are_answered(door_server, door_key, short_speech):
    async def call_all():
        async with openai.AsyncOpenAI(
            base_url=f"{door_server.url}/v1", api_key=door_key, timeout=JOB_TIMEOUT_S
        ) as client:
            calls = [
                client.audio.transcriptions.create(file=short_speech, model="tiny")
                for _ in range(4)
            ]
            return await asyncio.gather(*calls)

    answers = asyncio.run(call_all())

    assert [is_the_speech(answer.text) for answer in answers] == [True] * 4


def test_models_are_listed_and_found(client):
    listed = {model.id: model for model in client.models.list()}

    assert {"tiny", "large-v3", "whisper-1", "gpt-4o-transcribe"} <= set(listed)
    assert listed["tiny"].is_installed is True
    assert listed["whisper-1"].root == "tiny"
    assert client.models.retrieve("whisper-1") == listed["whisper-1"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_a_wrong_key_is_an_authentication_error(door_server, short_speech):
    stranger = openai.OpenAI(base_url=f"{door_server.url}/v1", api_key="wrong", max_retries=0)

    with stranger, pytest.raises(openai.AuthenticationError) as refused:
        stranger.audio.transcriptions.create(file=short_speech, model="tiny")

    assert refused.value.type == "authentication_error"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"include": ["logprobs"]}, "include"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"known_speaker_names": ["Ann"]}, "known_speaker_names"),
        (
            {"chunking_strategy": {"type": "server_vad", "threshold": 0.5}},
            "chunking_strategy[threshold]",
        ),
        ({"temperature": 2}, "temperature"),
        ({"extra_body": {"invented": 1}}, "invented"),
    ],
)
def test_what_is_not_supported_is_a_bad_request_that_names_the_field(transcribe, asked, field):
    with pytest.raises(openai.BadRequestError) as refused:
        transcribe(**asked)

    assert (refused.value.param, refused.value.type) == (field, "invalid_request_error")
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_a_file_that_is_no_recording_is_a_bad_request(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.transcriptions.create(file=("a.mp3", b"no music"), model="tiny")

    assert (refused.value.param, refused.value.code) == ("file", "audio_unreadable")


def test_a_server_with_too_much_to_do_says_when_to_come_back(busy_server, short_speech):
    key = busy_server.secrets["admin_api_key"]

    with (
        openai.OpenAI(base_url=f"{busy_server.url}/v1", api_key=key, max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as refused,
    ):
        client.audio.transcriptions.create(file=short_speech, model="tiny")

    headers = refused.value.response.headers
    assert (refused.value.status_code, refused.value.code) == (503, "server_busy")
    assert int(headers["retry-after"]) >= 1
    assert int(headers["retry-after-ms"]) == 1000 * int(headers["retry-after"])
    assert urgent_jobs(busy_server) == []


def test_an_idempotency_key_makes_one_job_of_two_requests(client, short_speech):
    answers = [
        client.audio.transcriptions.with_raw_response.create(
            file=short_speech, model="tiny", extra_headers={"Idempotency-Key": "twice-1"}
        )
        for _ in range(2)
    ]

    assert answers[0].headers["x-job-id"] == answers[1].headers["x-job-id"]
    assert answers[0].text == answers[1].text
    assert answers[1].headers["idempotency-replayed"] == "true"


def urgent_jobs(door_server):
    """Ids of the jobs of this door, newest last."""
    rows = door_server.query(
        "SELECT id FROM transcription_jobs WHERE door = 'openai' ORDER BY created_at, id"
    )
    return [str(job_id) for (job_id,) in rows]


def leave_in_the_middle(door_server, door_key, speech, *, stream=False, **headers):
    """Ask for a long transcript, and hang up once its job runs. Returns the job."""
    before = len(urgent_jobs(door_server))
    with speech.open("rb") as recording:
        asked = httpx.Request(
            "POST",
            f"{door_server.url}/v1/audio/transcriptions",
            headers={"X-API-Key": door_key, **headers},
            files={"file": recording},
            data={"model": "tiny", "stream": str(stream).lower()},
        )
        body = asked.read()
    connection = HTTPConnection(asked.url.host, asked.url.port, timeout=JOB_TIMEOUT_S)
    connection.request("POST", asked.url.path, body, dict(asked.headers))
    job_id = await_value(
        lambda: urgent_jobs(door_server)[before:], JOB_TIMEOUT_S, "the job of the request"
    )[-1]
    door_server.await_start(job_id)
    connection.close()
    return job_id


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_takes_its_job_with_it(door_server, door_key, long_speech, stream):
    job_id = leave_in_the_middle(door_server, door_key, long_speech, stream=stream)

    job = door_server.await_job(job_id)

    assert job["status"] == "cancelled"


def test_a_job_outlives_its_client_when_that_says_so(door_server, door_key, long_speech):
    headers = {"X-Keep-Job": "true"}

    job_id = leave_in_the_middle(door_server, door_key, long_speech, **headers)

    assert door_server.await_job(job_id)["status"] == "completed"
