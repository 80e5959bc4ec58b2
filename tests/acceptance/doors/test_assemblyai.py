"""AssemblyAI's own client on the running server, with real speech."""

import asyncio
import json

import assemblyai as aai
import pytest
from assemblyai.types import ListTranscriptParameters, TranscriptError

from scripts.samples import SAMPLES
from tests.acceptance.conftest import JOB_TIMEOUT_S, await_value

KENNEDY = "ask not what your country can do for you"
POLL_S = 0.3

# Its own calls of pydantic are of version 1.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:assemblyai")


def client_for(server, key):
    settings = aai.Settings(
        api_key=key, base_url=server.url, polling_interval=POLL_S, http_timeout=JOB_TIMEOUT_S
    )
    return aai.Client(settings=settings)


@pytest.fixture
def client(door_server, door_key):
    return client_for(door_server, door_key)


@pytest.fixture
def transcriber(client):
    return aai.Transcriber(client=client)


@pytest.fixture
def transcribe(transcriber, short_speech):
    def transcribe(data=None, **asked):
        config = aai.TranscriptionConfig(**{"speech_models": ["tiny"], **asked})
        return transcriber.transcribe(data or str(short_speech), config)

    return transcribe


@pytest.fixture(scope="module")
def finished(door_server, door_key, short_speech):
    """One transcript that several tests look at."""
    transcriber = aai.Transcriber(client=client_for(door_server, door_key))
    return transcriber.transcribe(str(short_speech), aai.TranscriptionConfig())


@pytest.fixture
def stranger(door_server, door_http):
    """A client of another tenant."""
    door_http.post("/admin/tenants", json={"name": "strangers"})
    made = door_http.post(
        "/admin/keys", json={"tenant": "strangers", "name": "x", "scopes": ["submit", "read"]}
    )
    assert made.status_code == 201, made.text
    return client_for(door_server, made.json()["key"])


def plain(text):
    return "".join(letter for letter in text.lower() if letter.isalpha() or letter == " ")


def test_a_file_is_uploaded_and_becomes_a_transcript(finished, door_server):
    assert finished.status == aai.TranscriptStatus.completed
    assert finished.error is None
    assert KENNEDY in plain(finished.text)
    assert finished.audio_duration == round(SAMPLES["jfk.wav"].duration_s)
    assert finished.audio_url.startswith(f"{door_server.url}/v2/upload/")
    assert finished.json_response["language_code"] == "en"
    assert finished.speech_model_used == "tiny"
    assert 0 < finished.confidence <= 1


def test_words_have_times_in_milliseconds(finished):
    words = finished.words

    assert " ".join(word.text for word in words) == finished.text
    assert [word.start for word in words] == sorted(word.start for word in words)
    assert 10_000 < words[-1].end <= 11_100
    assert all(0 < word.confidence <= 1 for word in words)


def test_the_job_is_an_ordinary_one(finished, door_http):
    job = door_http.get(f"/transcribe/{finished.id}").json()

    assert (job["door"], job["priority"], job["status"]) == ("assemblyai", "normal", "completed")


def test_a_finished_transcript_is_read_in_many_ways(finished):
    sentences, paragraphs = finished.get_sentences(), finished.get_paragraphs()
    srt, vtt = finished.export_subtitles_srt(), finished.export_subtitles_vtt(chars_per_caption=20)
    (match,) = finished.word_search(["your country"])

    assert " ".join(sentence.text for sentence in sentences) == finished.text
    assert " ".join(paragraph.text for paragraph in paragraphs) == finished.text
    assert srt.startswith("1\n00:00:0")
    assert vtt.startswith("WEBVTT")
    captions = [block.splitlines()[1:] for block in vtt.strip().split("\n\n")[1:]]
    assert all(len(lines) == 1 and len(lines[0]) <= 20 for lines in captions)
    assert match.count == 2
    assert plain(finished.words[match.indexes[0]].text) == "your"


def test_a_recording_from_elsewhere_is_fetched(transcribe, neighbour, short_speech):
    neighbour.files["/assembly.wav"] = short_speech.read_bytes()
    address = neighbour.url("/assembly.wav")

    found = transcribe(address)

    assert found.audio_url == address
    assert KENNEDY in plain(found.text)


def test_one_upload_serves_several_transcripts(transcriber, transcribe, short_speech):
    address = transcriber.upload_file(short_speech.read_bytes())

    first, second = transcribe(address), transcribe(address, punctuate=False, format_text=False)

    assert first.id != second.id
    assert KENNEDY in plain(first.text)
    assert KENNEDY in second.text


def test_a_group_of_recordings_is_transcribed(transcriber, short_speech):
    group = transcriber.transcribe_group([str(short_speech)] * 3)

    assert [KENNEDY in plain(transcript.text) for transcript in group.transcripts] == [True] * 3


def test_what_to_expect_and_how_to_decode_reach_the_job(transcribe, door_http):
    found = transcribe(word_boost=["Kennedy", "Americans"], language_code="en_us", temperature=0.0)

    options = door_http.get(f"/transcribe/{found.id}").json()["options"]
    assert options["initial_prompt"] == "Kennedy, Americans"
    assert (options["language"], options["temperature"]) == ("en", 0.0)
    assert found.json_response["language_confidence"] is None


def test_the_asynchronous_client_gets_the_same(door_server, door_key, short_speech):
    async def ask():
        settings = aai.Settings(api_key=door_key, base_url=door_server.url, polling_interval=POLL_S)
        async with aai.AsyncClient(settings=settings) as client:
            transcriber = aai.AsyncTranscriber(client=client)
            return await transcriber.transcribe(str(short_speech))

    found = asyncio.run(ask())

    assert KENNEDY in plain(found.text)


def test_a_webhook_tells_of_the_end_with_the_header_that_was_asked_for(transcribe, neighbour):
    found = transcribe(
        webhook_url=neighbour.url("/assemblyai"),
        webhook_auth_header_name="X-My-Auth",
        webhook_auth_header_value="s3cret",
    )

    (message,) = await_value(
        lambda: neighbour.posted_to("/assemblyai"), JOB_TIMEOUT_S, "the webhook"
    )
    assert json.loads(message.body) == {"transcript_id": found.id, "status": "completed"}
    assert message.headers["x-my-auth"] == "s3cret"
    assert found.json_response["webhook_auth"] is True
    assert "s3cret" not in json.dumps(found.json_response)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"speaker_labels": True}, "speaker_labels"),
        ({"audio_start_from": 1000, "audio_end_at": 2000}, "audio_"),
        ({"multichannel": True}, "multichannel"),
        ({"redact_pii": True, "redact_pii_policies": ["person_name"]}, "redact_pii"),
        ({"auto_chapters": True}, "auto_chapters"),
        ({"sentiment_analysis": True}, "sentiment_analysis"),
        ({"custom_spelling": {"a": "b"}}, "custom_spelling"),
        ({"speech_threshold": 0.5}, "speech_threshold"),
        ({"language_code": "xx"}, "language_code"),
        ({"speech_models": ["unheard-of"]}, "speech_models"),
        ({"webhook_url": "http://127.0.0.1:1/"}, "webhook_url"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(transcribe, asked, field):
    with pytest.raises(TranscriptError, match=field) as caught:
        transcribe(**asked)

    assert caught.value.status_code == 400


def test_what_is_no_recording_is_refused(transcriber):
    with pytest.raises(TranscriptError, match="failed to transcribe") as caught:
        transcriber.transcribe(b"no sound at all")

    assert caught.value.status_code == 400


def test_a_wrong_key_is_told_in_their_shape(door_server, short_speech):
    stranger = aai.Transcriber(client=client_for(door_server, "wrong"))

    with pytest.raises(TranscriptError) as caught:
        stranger.upload_file(str(short_speech))

    assert caught.value.status_code == 401


def test_another_tenant_sees_nothing_of_it(finished, transcriber, stranger, short_speech):
    upload = transcriber.upload_file(str(short_speech))
    others = aai.Transcriber(client=stranger)

    looked = stranger.http_client.get(f"/v2/transcript/{finished.id}")
    removed = stranger.http_client.delete(f"/v2/transcript/{finished.id}")
    with pytest.raises(TranscriptError) as taken:
        others.transcribe(upload)

    assert (looked.status_code, removed.status_code, taken.value.status_code) == (404, 404, 404)
    assert looked.json() == {"error": "there is no job with this id"}
    assert finished.id not in str(others.list_transcripts().transcripts)


def test_transcripts_are_listed_and_removed(transcribe, transcriber, client):
    found = transcribe()

    page = transcriber.list_transcripts(ListTranscriptParameters(limit=1, status="completed"))
    removed = client.http_client.delete(f"/v2/transcript/{found.id}")

    assert [item.id for item in page.transcripts] == [found.id]
    assert removed.json()["text"] == "Deleted by user."
    assert client.http_client.get(f"/v2/transcript/{found.id}").status_code == 404
