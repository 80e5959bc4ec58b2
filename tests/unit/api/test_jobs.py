"""One job over HTTP: look, wait, cancel, remove, read."""

from dataclasses import replace
from uuid import uuid4

import pytest

NO_SUCH_JOB = str(uuid4())


def test_a_job_shows_its_fields_with_null_for_the_unknown(client, jobs):
    job = jobs.add(status="processing", progress=0.25)

    answer = client.get(f"/transcribe/{job.job_id}")

    assert answer.status_code == 200
    assert answer.json["progress"] == 0.25
    assert answer.json["created_at"] == "2026-01-31T12:00:00+00:00"
    assert answer.json["transcription"] is None
    assert set(answer.json) == {*job.__dataclass_fields__} - {"tenant", "door_fields"}


@pytest.mark.parametrize("job_id", ["nonsense", "1", "%00", "..", NO_SUCH_JOB, "é" * 300])
@pytest.mark.parametrize("path", ["", "/result", "/audio"])
def test_an_id_that_no_job_has_is_404(client, job_id, path):
    answer = client.get(f"/transcribe/{job_id}{path}")

    assert answer.status_code == 404
    assert answer.json["code"] in ("job_not_found", "route_not_found")


def test_deleting_what_is_not_there_is_404(client):
    assert client.delete("/transcribe/nonsense").json["code"] == "job_not_found"
    assert client.delete(f"/transcribe/{NO_SUCH_JOB}?purge=true").json["code"] == "job_not_found"


def test_waiting_is_passed_on_and_capped(client, jobs, settings):
    job = jobs.add()

    waited = client.get(f"/transcribe/{job.job_id}?wait=1.5")
    too_long = client.get(f"/transcribe/{job.job_id}?wait={settings.max_wait_s + 1}")
    nonsense = client.get(f"/transcribe/{job.job_id}?wait=-1")

    assert waited.status_code == 200
    assert jobs.waited_s == [1.5]
    assert too_long.status_code == 422
    assert too_long.json["details"] == {"option": "wait", "maximum": settings.max_wait_s}
    assert nonsense.status_code == 422


def test_cancelling_a_waiting_job_is_done_at_once(client, jobs):
    job = jobs.add()

    answer = client.delete(f"/transcribe/{job.job_id}")

    assert answer.status_code == 200
    assert answer.json["status"] == "cancelled"


def test_cancelling_a_running_job_is_a_request(client, jobs):
    job = jobs.add(status="processing")

    answer = client.delete(f"/transcribe/{job.job_id}")

    assert answer.status_code == 202
    assert answer.json["cancel_requested"] is True


def test_cancelling_a_finished_job_is_a_conflict_that_names_the_state(client, jobs):
    job = jobs.add(status="completed")

    answer = client.delete(f"/transcribe/{job.job_id}")

    assert answer.status_code == 409
    assert answer.json["details"] == {"status": "completed"}


def test_purging_removes_only_what_is_finished(client, jobs):
    finished, running = jobs.add(status="failed"), jobs.add(status="processing")

    removed = client.delete(f"/transcribe/{finished.job_id}?purge=true")
    refused = client.delete(f"/transcribe/{running.job_id}?purge=true")

    assert (removed.status_code, removed.data) == (204, b"")
    assert refused.status_code == 409
    assert list(jobs.jobs) == [running.job_id]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/plain", "text/plain"),
        ("text/*", "text/plain"),
        ("application/x-subrip", "application/x-subrip"),
        ("text/vtt;q=0.9, application/x-subrip;q=0.5", "text/vtt"),
        ("application/json;q=0.1, text/tab-separated-values", "text/tab-separated-values"),
        ("text/html, */*;q=0.1", "application/json"),
    ],
)
def test_the_format_follows_the_accept_header(client, jobs, accept, media_type):
    job = jobs.add(status="completed", filename="talk.mp3")

    answer = client.get(
        f"/transcribe/{job.job_id}/result", headers={"Accept": accept} if accept else {}
    )

    assert answer.status_code == 200
    assert answer.mimetype == media_type
    assert "Hello there." in answer.text


@pytest.mark.parametrize("name", ["txt", "srt", "vtt", "tsv", "json", "verbose_json"])
def test_the_format_in_the_address_wins_over_accept(client, jobs, name):
    job = jobs.add(status="completed", filename="talk.mp3")

    answer = client.get(
        f"/transcribe/{job.job_id}/result?format={name}", headers={"Accept": "image/png"}
    )

    extension = "json" if "json" in name else name
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == f'attachment; filename="talk.{extension}"'


def test_a_format_that_nobody_can_give_is_406_with_a_list(client, jobs):
    job = jobs.add(status="completed")

    answer = client.get(f"/transcribe/{job.job_id}/result", headers={"Accept": "image/png"})

    assert answer.status_code == 406
    assert answer.json["code"] == "format_not_acceptable"
    assert "text/vtt" in answer.json["message"]


def test_an_unknown_format_is_refused_with_what_is_allowed(client, jobs):
    job = jobs.add(status="completed")

    answer = client.get(f"/transcribe/{job.job_id}/result?format=docx")

    assert answer.status_code == 422
    assert "verbose_json" in answer.json["details"]["allowed"]


def test_lines_are_limited_in_subtitles_alone(client, jobs):
    job = jobs.add(status="completed")
    address = f"/transcribe/{job.job_id}/result"

    subtitles = client.get(f"{address}?format=srt&max_line_width=10&max_line_count=2")
    text = client.get(f"{address}?format=txt&max_line_width=10")
    too_narrow = client.get(f"{address}?format=srt&max_line_width=0")

    assert "Hello\nthere." in subtitles.text
    assert text.status_code == 422
    assert text.json["details"]["allowed"] == ["srt", "vtt"]
    assert too_narrow.status_code == 422


def test_a_result_that_is_not_there_yet_is_a_conflict(client, jobs):
    job = jobs.add(status="processing")

    answer = client.get(f"/transcribe/{job.job_id}/result?format=txt")

    assert answer.status_code == 409
    assert answer.json["code"] == "result_not_ready"


def test_the_recording_comes_back_whole_or_in_ranges(client, jobs):
    address = upload(client, jobs, b"0123456789", "audio/mpeg")

    whole = client.get(address)
    part = client.get(address, headers={"Range": "bytes=2-4"})
    end = client.get(address, headers={"Range": "bytes=-3"})
    beyond = client.get(address, headers={"Range": "bytes=50-"})

    assert (whole.status_code, whole.data) == (200, b"0123456789")
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert (part.status_code, part.data) == (206, b"234")
    assert part.headers["Content-Range"] == "bytes 2-4/10"
    assert (end.status_code, end.data) == (206, b"789")
    assert beyond.status_code == 416
    assert beyond.json["code"] == "range_not_satisfiable"
    assert beyond.headers["Content-Range"] == "bytes */10"


def test_an_unchanged_recording_need_not_be_sent_again(client, jobs):
    address = upload(client, jobs, b"0123456789", "audio/mpeg")
    etag = client.get(address).headers["ETag"]

    again = client.get(address, headers={"If-None-Match": etag})
    head = client.head(address)

    assert (again.status_code, again.data) == (304, b"")
    assert (head.headers["Content-Length"], head.data) == ("10", b"")


def test_a_recording_never_comes_back_as_a_page(client, jobs):
    address = upload(client, jobs, b"<script>alert(1)</script>", "text/html")

    answer = client.get(address)

    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_a_recording_that_was_removed_is_gone(client, jobs):
    job = jobs.add(status="completed")

    answer = client.get(f"/transcribe/{job.job_id}/audio")

    assert answer.status_code == 410
    assert answer.json["code"] == "audio_gone"


def upload(client, jobs, content, content_type):
    client.put("/transcribe/", data=content, content_type=content_type)
    (call,) = jobs.submitted
    (job,) = jobs.jobs.values()
    jobs.jobs[job.job_id] = replace(
        job, content_type=call["content_type"], sha256=call["stored"].sha256
    )
    return f"/transcribe/{job.job_id}/audio"
