"""Every bad input of the world gets a clear answer, and leaves nothing behind."""

import pytest

from tests.recordings import BAD_KINDS, GOOD_KINDS, make_recording

STATUS_OF = {"audio_empty": 422, "audio_unreadable": 422, "audio_stream_missing": 422}
# Sounds without speech: what the model hears in a synthetic buzz is not the point here.
HEARD = [kind for kind in GOOD_KINDS if kind != "claims_100_hours"]


def stored_files(server):
    return {path for path in (server.folder / "uploads").rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", BAD_KINDS)
def test_what_is_no_recording_is_refused_and_not_kept(server, tmp_path, kind):
    before = stored_files(server)

    with make_recording(kind, tmp_path).open("rb") as stream:
        answer = server.client.post("/transcribe/", files={"file": stream})

    error = answer.json()
    assert error["code"] in (BAD_KINDS[kind], "file_missing")
    assert answer.status_code == 422
    assert error["request_id"] == answer.headers["x-request-id"]
    assert str(server.folder) not in answer.text
    assert stored_files(server) == before


@pytest.mark.parametrize("kind", HEARD)
def test_every_recording_goes_through(server, tmp_path, kind):
    job_id = server.submit(make_recording(kind, tmp_path))

    job = server.await_job(job_id)

    assert job["status"] == "completed", job["error_message"]
    assert job["duration"] == pytest.approx(GOOD_KINDS[kind], abs=0.6)


def test_a_header_that_claims_a_hundred_hours_is_refused_with_the_limit(server, tmp_path):
    with make_recording("claims_100_hours", tmp_path).open("rb") as stream:
        answer = server.client.post("/transcribe/", files={"file": stream})

    assert (answer.status_code, answer.json()["code"]) == (422, "audio_too_long")
    assert answer.json()["details"]["maximum_s"] == 14_400


def test_silence_becomes_an_empty_text_and_a_warning(server, tmp_path):
    job = server.await_job(server.submit(make_recording("silence", tmp_path)))

    assert job["transcription"] == ""
    assert job["confidence"] is None
    assert [warning["code"] for warning in job["warnings"]] == ["silent_audio"]


def test_a_damaged_recording_says_what_was_lost(server, tmp_path):
    job = server.await_job(server.submit(make_recording("flac_damaged", tmp_path)))

    assert job["status"] == "completed"
    assert "audio_damaged" in [warning["code"] for warning in job["warnings"]]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("model_size", "enormous"),
        ("language", "klingon"),
        ("task", "summarise"),
        ("priority", "urgent"),
        ("temperature", "hot"),
        ("beam_size", "-1"),
        ("word_timestamps", "perhaps"),
        ("colour", "red"),
    ],
)
def test_a_bad_option_is_answered_before_anything_is_kept(server, short_speech, option, value):
    before = stored_files(server)

    with short_speech.open("rb") as stream:
        answer = server.client.post("/transcribe/", files={"file": stream}, data={option: value})

    assert answer.status_code == 422
    assert option in answer.text
    assert stored_files(server) == before


def test_a_language_that_the_model_cannot_do_is_refused(server, short_speech):
    with short_speech.open("rb") as stream:
        answer = server.client.post(
            "/transcribe/",
            files={"file": stream},
            data={"model_size": "tiny.en", "language": "de"},
        )

    assert (answer.status_code, answer.json()["details"]["allowed"]) == (422, ["en"])


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd.wav", "qu\"ote's.wav", "emoji 🎙️.wav", "a" * 300 + ".wav", "", ".."],
)
def test_a_strange_name_is_only_a_label(server, short_speech, name):
    answer = server.client.put(
        "/transcribe/", params={"filename": name}, content=short_speech.read_bytes()
    )

    job = server.await_job(answer.json()["job_id"])
    assert job["status"] == "completed"
    assert "/" not in (job["filename"] or "")
    assert len(job["filename"] or "") <= 255
    outside = [path for path in stored_files(server) if "passwd" in path.name]
    assert outside == []


@pytest.mark.parametrize(
    "job_id", ["1", "not-a-uuid", "00000000-0000-4000-8000-000000000000", "%00"]
)
def test_an_id_of_no_job_is_not_found(server, job_id):
    for path in ("", "/result", "/audio"):
        answer = server.client.get(f"/transcribe/{job_id}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


def test_a_model_that_cannot_be_had_says_what_to_do(server, short_speech):
    job = server.await_job(server.submit(short_speech, model_size="large-v2"))

    [letter] = [
        letter
        for letter in server.client.get("/admin/errors", headers=server.admin).json()["errors"]
        if letter["job_id"] == job["job_id"]
    ]
    assert (job["status"], job["error_type"]) == ("failed", "model_unavailable")
    assert "large-v2" in job["error_message"]
    assert (letter["type"], letter["resolved"]) == ("model_unavailable", False)


def test_a_dead_letter_is_read_retried_and_resolved(server, short_speech):
    job = server.await_job(server.submit(short_speech, model_size="medium"))
    listed = server.client.get(
        "/admin/errors",
        params={"type": "model_unavailable", "resolved": "false"},
        headers=server.admin,
    ).json()
    letter = next(item for item in listed["errors"] if item["job_id"] == job["job_id"])
    path = f"/admin/errors/{letter['id']}"

    whole = server.client.get(path, headers=server.admin).json()
    retried = server.client.post(f"{path}/retry", headers=server.admin)
    again = server.await_job(job["job_id"], "failed")
    resolved = server.client.post(f"{path}/resolve", headers=server.admin)

    assert "ModelUnavailable" in whole["stack_trace"]
    assert whole["worker_id"]
    assert whole["options"]["model_size"] == "medium"
    assert [attempt["event"] for attempt in whole["attempts"]][-1] == "dead_lettered"
    assert retried.status_code in (200, 202)
    assert again["error_type"] == "model_unavailable"
    assert resolved.status_code == 200
    depth = server.client.get("/admin/health", headers=server.admin).json()["queues"]["broker"]
    assert depth["transcription.dlq"] >= 1
