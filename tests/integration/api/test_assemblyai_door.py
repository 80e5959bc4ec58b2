"""AssemblyAI's routes over real Postgres; what is said in a recording is made up."""

from io import BytesIO
from uuid import uuid4

import pytest
from assemblyai import types

from api.doors.assemblyai import recordings, views
from config import QUEUE_NORMAL
from domain.errors import AudioUnreadable, SourceUnavailable
from domain.options import TranscriptionOptions
from domain.submission import Submission
from services.fetching import Fetched
from services.jobs import submit_job
from services.transcription import run_job
from tests.integration.services.conftest import with_worker

SPOKEN = "Hello there."


@pytest.fixture
def upload(client):
    def upload(content=b"recording", **request):
        answer = client.post("/v2/upload", data=content, **request)
        assert answer.status_code == 200, answer.json
        return answer.json["upload_url"]

    return upload


@pytest.fixture
def ask(client, upload):
    def ask(**fields):
        answer = client.post("/v2/transcript", json={"audio_url": upload(), **fields})
        assert answer.status_code == 200, answer.json
        return answer.json

    return ask


@pytest.fixture
def completed(ask, worker):
    def completed(**fields):
        transcript_id = ask(**fields)["id"]
        run_job(worker, QUEUE_NORMAL)
        return transcript_id

    return completed


@pytest.fixture
def submit(services):
    def submit(**placed):
        stored = services.storage.put(BytesIO(b"recording"), max_bytes=100)
        options = TranscriptionOptions(model_size="base")
        return submit_job(services, stored, options, Submission(**placed))

    return submit


@pytest.fixture
def of_somebody_else(submit):
    return submit(tenant="alice", door="assemblyai")


def test_an_upload_becomes_a_transcript(client, ask, worker):
    queued = ask()

    run_job(worker, QUEUE_NORMAL)
    done = client.get(f"/v2/transcript/{queued['id']}").json

    assert (queued["status"], queued["text"]) == ("queued", None)
    assert (done["status"], done["text"], done["audio_duration"]) == ("completed", SPOKEN, 1)
    assert done["audio_url"] == queued["audio_url"]
    assert types.TranscriptResponse.model_validate(done).words[0].text == "Hello"


def test_an_upload_may_be_transcribed_again_and_again(client, upload):
    address = upload()

    ids = {client.post("/v2/transcript", json={"audio_url": address}).json["id"] for _ in range(3)}

    assert len(ids) == 3


def test_an_upload_is_known_whatever_the_server_was_called_when_it_came(client, upload):
    address = upload(base_url="http://other.example")

    answer = client.post("/v2/transcript", json={"audio_url": address})

    assert (answer.status_code, answer.json["status"]) == (200, "queued")


def test_an_upload_that_is_not_there_is_not_fetched(client, monkeypatch):
    monkeypatch.setattr(recordings, "fetch_recording", None)

    answer = client.post(
        "/v2/transcript", json={"audio_url": f"http://localhost/v2/upload/{uuid4()}"}
    )

    assert answer.status_code == 404
    assert answer.json == {"error": "audio_url: there is no such upload, or not any more"}


def test_a_recording_from_elsewhere_is_fetched(client, services, monkeypatch):
    stored = services.storage.put(BytesIO(b"audio"), max_bytes=10)
    asked = []

    def fetch(services, url):
        asked.append(url)
        return Fetched(stored, "talk.mp3", "audio/mpeg")

    monkeypatch.setattr(recordings, "fetch_recording", fetch)

    answer = client.post("/v2/transcript", json={"audio_url": "https://example.org/talk.mp3"})

    assert (answer.status_code, answer.json["status"]) == (200, "queued")
    assert asked == ["https://example.org/talk.mp3"]


def test_a_recording_that_cannot_be_fetched_is_told_under_its_own_field(client, monkeypatch):
    def fail(services, url):
        raise SourceUnavailable("it answered with status 404", option="source_url")

    monkeypatch.setattr(recordings, "fetch_recording", fail)

    answer = client.post("/v2/transcript", json={"audio_url": "https://example.org/talk.mp3"})

    assert answer.status_code == 400
    assert answer.json == {"error": "audio_url: it answered with status 404"}


def test_what_is_not_available_is_refused_by_name(client, upload):
    answer = client.post("/v2/transcript", json={"audio_url": upload(), "speaker_labels": True})

    assert answer.status_code == 400
    assert answer.json == {"error": "speaker_labels is not available on this server"}


@pytest.mark.parametrize("body", [b"no json", b"[]", b""])
def test_a_body_that_is_no_request_is_refused(client, body):
    answer = client.post("/v2/transcript", data=body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json["error"]


def test_an_empty_upload_is_refused(client):
    answer = client.post("/v2/upload", environ_overrides={"CONTENT_LENGTH": "0"})

    assert (answer.status_code, answer.json) == (400, {"error": "the file is empty"})


def test_a_webhook_is_kept_with_its_header_and_shown_without_its_secret(
    client, ask, services, monkeypatch
):
    kept = []

    def job_webhook(services, url, **said):
        kept.append((url, said))
        return {"url": url, "events": None, "style": "assemblyai", "headers": {}, "data": {}}

    monkeypatch.setattr(views, "job_webhook", job_webhook)

    shown = ask(
        webhook_url="https://example.org/hook",
        webhook_auth_header_name="X-Key",
        webhook_auth_header_value="s3cret",
    )

    assert kept == [
        (
            "https://example.org/hook",
            {"style": "assemblyai", "headers": {"X-Key": "s3cret"}, "option": "webhook_url"},
        )
    ]
    assert (shown["webhook_auth"], shown["webhook_url"]) == (True, "https://example.org/hook")
    assert "s3cret" not in str(client.get(f"/v2/transcript/{shown['id']}").json)


def test_a_failed_job_is_in_error_with_the_reason(client, ask, worker):
    def fail(path, **_):
        raise AudioUnreadable("the recording cannot be decoded")

    transcript_id = ask()["id"]
    run_job(with_worker(worker, decode=fail), QUEUE_NORMAL)

    body = client.get(f"/v2/transcript/{transcript_id}").json

    assert (body["status"], body["error"]) == ("error", "the recording cannot be decoded")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("srt", "1\n00:00:00,000 --> 00:00:01,000\nHello there."),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nHello there."),
        ("srt?chars_per_caption=6", "1\n00:00:00,000 --> 00:00:00,417\nHello"),
    ],
)
def test_a_transcript_is_read_as_subtitles(client, completed, path, expected):
    answer = client.get(f"/v2/transcript/{completed()}/{path}")

    assert answer.status_code == 200
    assert answer.text.startswith(expected)


def test_a_transcript_is_read_in_sentences_paragraphs_and_words(client, completed):
    where = f"/v2/transcript/{completed()}"

    sentences = client.get(f"{where}/sentences").json
    paragraphs = client.get(f"{where}/paragraphs").json
    found = client.get(f"{where}/word-search?words=there,%20nobody").json

    assert [sentence["text"] for sentence in sentences["sentences"]] == [SPOKEN]
    assert [paragraph["text"] for paragraph in paragraphs["paragraphs"]] == [SPOKEN]
    assert [match["indexes"] for match in found["matches"]] == [[1], []]


@pytest.mark.parametrize("words", ["", "%20,", ",".join("x" * 101)])
def test_a_search_without_words_or_with_too_many_is_refused(client, completed, words):
    answer = client.get(f"/v2/transcript/{completed()}/word-search?words={words}")

    assert answer.status_code == 400
    assert "words" in answer.json["error"]


@pytest.mark.parametrize("path", ["srt", "vtt", "sentences", "paragraphs", "word-search?words=a"])
def test_what_is_not_finished_cannot_be_read(client, ask, path):
    answer = client.get(f"/v2/transcript/{ask()['id']}/{path}")

    assert answer.status_code == 400
    assert "pending" in answer.json["error"]


def test_subtitles_are_written_as_the_request_asked(client, completed):
    transcript_id = completed(punctuate=False, format_text=False)

    assert "hello there\n" in client.get(f"/v2/transcript/{transcript_id}/srt").text + "\n"


def test_a_removed_transcript_is_gone(client, completed, services):
    transcript_id = completed()

    answer = client.delete(f"/v2/transcript/{transcript_id}")

    read = types.TranscriptResponse.model_validate(answer.json)
    assert (answer.status_code, read.text) == (200, "Deleted by user.")
    assert client.get(f"/v2/transcript/{transcript_id}").status_code == 404


def test_what_is_not_finished_cannot_be_removed(client, ask):
    answer = client.delete(f"/v2/transcript/{ask()['id']}")

    assert answer.status_code == 400
    assert "not finished" in answer.json["error"]


@pytest.mark.parametrize("path", ["", "/srt", "/sentences", "/paragraphs", "/word-search?words=a"])
def test_nobody_sees_the_transcripts_of_others(client, of_somebody_else, path):
    answer = client.get(f"/v2/transcript/{of_somebody_else}{path}")

    assert (answer.status_code, answer.json) == (404, {"error": "there is no job with this id"})


def test_nobody_removes_the_transcripts_of_others(client, of_somebody_else):
    assert client.delete(f"/v2/transcript/{of_somebody_else}").status_code == 404
    assert client.get(f"/v2/transcript?before_id={of_somebody_else}").status_code == 404


def test_a_job_of_another_door_can_be_looked_at(client, submit, worker):
    job_id = submit()
    run_job(worker, QUEUE_NORMAL)

    body = client.get(f"/v2/transcript/{job_id}").json

    read = types.TranscriptResponse.model_validate(body)
    assert (read.text, read.audio_url) == (SPOKEN, "")


def test_lists_go_from_the_newest_to_older_pages(client, ask, submit, of_somebody_else):
    ids = [ask()["id"] for _ in range(3)]
    submit()  # by another door

    first = client.get("/v2/transcript?limit=2").json
    page = types.ListTranscriptResponse.model_validate(first)
    before = page.page_details.before_id_of_prev_url
    second = client.get(f"/v2/transcript?limit=2&before_id={before}").json

    assert [item.id for item in page.transcripts] == [ids[2], ids[1]]
    assert [item["id"] for item in second["transcripts"]] == [ids[0]]
    assert second["page_details"]["prev_url"] is None
    assert page.transcripts[0].resource_url.endswith(f"/v2/transcript/{ids[2]}")


def test_lists_are_narrowed_by_status_and_day(client, ask, completed):
    done, waiting, cancelled = completed(), ask()["id"], ask()["id"]
    client.delete(f"/transcribe/{cancelled}")

    def ids(query):
        return [item["id"] for item in client.get(f"/v2/transcript?{query}").json["transcripts"]]

    assert ids("status=completed") == [done]
    assert ids("status=queued") == [waiting]
    assert ids("status=error") == [cancelled]
    assert ids("created_on=2001-02-03") == []
    assert ids("created_on=9999-12-31") == []  # no day comes after it


def test_a_value_out_of_range_is_refused_with_the_range(client):
    answer = client.get("/v2/transcript?limit=201")

    assert answer.status_code == 400
    assert answer.json["error"].startswith("limit: ")
    assert "200" in answer.json["error"]


@pytest.mark.parametrize("query", ["after_id=1", "throttled_only=true", "limit=0", "status=lost"])
def test_what_a_list_cannot_do_is_refused_by_name(client, query):
    answer = client.get(f"/v2/transcript?{query}")

    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json["error"]


def test_a_repetition_makes_no_second_job(client, upload):
    address, key = upload(), {"Idempotency-Key": "once"}

    first = client.post("/v2/transcript", json={"audio_url": address}, headers=key)
    again = client.post("/v2/transcript", json={"audio_url": address}, headers=key)

    assert first.json["id"] == again.json["id"]
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_repetition_of_what_is_completed_has_the_text_for_whoever_may_read(
    client, upload, worker
):
    body, key = {"audio_url": upload()}, {"Idempotency-Key": "once"}
    scopes = {"reads": ["submit", "read"], "submits": ["submit"]}
    keys = {
        name: client.post("/admin/keys", json={"name": name, "scopes": granted}).json["key"]
        for name, granted in scopes.items()
    }
    client.post("/v2/transcript", json=body, headers=key)
    run_job(worker, QUEUE_NORMAL)

    found = {
        name: client.post("/v2/transcript", json=body, headers={**key, "X-API-Key": secret}).json
        for name, secret in keys.items()
    }

    assert (found["reads"]["status"], found["reads"]["text"]) == ("completed", SPOKEN)
    assert (found["submits"]["status"], found["submits"]["text"]) == ("completed", None)
