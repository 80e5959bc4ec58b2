"""Recordings in pieces, many at once, and by Dalston's API: through the whole server, to a text."""

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from tests.acceptance.conftest import JOB_TIMEOUT_S, await_value

PIECE_BYTES = 200_000
NATIVE = "/v1/audio/transcriptions"


def uploader_for(server, path, **arguments):
    return TusClient(f"{server.url}/uploads", headers=server.admin).uploader(
        str(path),
        chunk_size=PIECE_BYTES,
        metadata={"filename": "novel.wav", "model_size": "tiny", "language": "en"},
        **arguments,
    )


def test_a_recording_in_pieces_is_transcribed(server, speech):
    uploader = uploader_for(server, speech)

    uploader.upload()

    job_id = uploader.request.response_headers["x-job-id"]
    job = server.await_job(job_id)
    assert (job["status"], job["filename"]) == ("completed", "novel.wav")
    assert "it was the age of wisdom" in job["transcription"].lower()


def test_a_web_server_that_is_killed_in_the_middle_costs_the_upload_nothing(make_server, speech):
    server = make_server()
    uploader = uploader_for(server, speech)
    uploader.upload(stop_at=3 * PIECE_BYTES)

    # Nothing in between: the launcher starts the next web server a second later.
    for process in server.find_processes("gunicorn"):
        process.kill()
    with pytest.raises((TusUploadFailed, TusCommunicationError)):
        uploader.upload()
    await_value(lambda: server.client.get("/health").status_code == 200, 60, "the web server")
    resumed = uploader_for(server, speech, url=uploader.url)
    begun_at = resumed.offset
    resumed.upload()

    job = server.await_job(resumed.request.response_headers["x-job-id"])
    assert begun_at == 3 * PIECE_BYTES
    assert job["status"] == "completed"
    assert "it was the age of wisdom" in job["transcription"].lower()


def test_two_files_in_one_call_are_watched_as_one(server, short_speech, speech):
    with short_speech.open("rb") as first, speech.open("rb") as second:
        made = server.client.post(
            "/batches",
            files=[
                ("files", ("a.wav", first)),
                ("files", ("b.wav", second)),
                ("files", ("c", b"")),
            ],
            data={"model_size": "tiny", "name": "both"},
        )
    address = made.headers["Location"]

    summaries = []
    with server.client.stream("GET", f"{address}/events") as stream:
        summaries.extend(line for line in stream.iter_lines() if line.startswith("data: "))
    batch = server.client.get(address).json()

    assert made.status_code == 207
    assert [item["status"] for item in made.json()["items"]] == ["pending", "pending", "refused"]
    assert '"is_finished": true' in summaries[-1]
    assert (batch["counts"]["completed"], batch["counts"]["refused"]) == (2, 1)
    assert [item["status"] for item in batch["items"]] == ["completed", "completed", "refused"]


def test_a_native_submission_is_followed_and_exported(server, short_speech):
    with short_speech.open("rb") as file:
        made = server.client.post(
            NATIVE,
            files={"file": ("jfk.wav", file)},
            data={"language": "auto", "timestamps_granularity": "word", "name": "Inaugural"},
        )
    where = f"{NATIVE}/{made.json()['id']}"

    job = await_value(lambda: finished(server, where), JOB_TIMEOUT_S, "the native job")
    subtitles = server.client.get(f"{where}/export/srt?max_line_length=30&max_lines=1")
    recording = httpx.get(server.client.get(f"{where}/audio").json()["url"])

    assert (made.status_code, made.json()["display_name"]) == (201, "Inaugural")
    assert "ask not what your country" in job["text"].lower()
    assert job["words"][0]["start"] < job["words"][-1]["end"] <= 11.5
    assert "-->" in subtitles.text
    assert recording.content == short_speech.read_bytes()


def finished(server, where):
    job = server.client.get(where).json()
    return job if job["status"] == "completed" else None
