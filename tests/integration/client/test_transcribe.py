import threading

import pytest

from tests.integration.client.toy_server import DONE, FAILED, HANG_UP, QUEUED, RUNNING, error


def test_the_transcript_of_one_file_goes_to_standard_output_alone(toy, client, recordings):
    toy.default_plan = [QUEUED, RUNNING, DONE]
    toy.results["talk.mp3"] = b"Good morning.\n"

    outcome = client("transcribe", *recordings("talk.mp3"))

    assert (outcome.code, outcome.out) == (0, "Good morning.\n")
    assert "talk.mp3: queued" in outcome.err
    assert "talk.mp3: transcribing 50%, 0:05 left" in outcome.err
    assert "talk.mp3: 1:00 of audio in 10.0 s (6.0x), base, en" in outcome.err


def test_the_whole_file_arrives_in_one_put_with_its_length(toy, client, recordings):
    content = bytes(range(256)) * 5000

    client("transcribe", *recordings("talk.mp3", content=content))

    (request,) = toy.seen("PUT")
    (job,) = toy.jobs.values()
    assert job.body == content + b"talk.mp3"
    assert request.headers["Content-Length"] == str(len(content) + 8)
    assert request.headers["Content-Type"] == "audio/mpeg"
    assert "Transfer-Encoding" not in request.headers


def test_options_become_query_parameters_under_the_names_of_the_api(toy, client, recordings):
    asked = (
        "--model small --language de --task translate --priority high --initial-prompt Müller "
        "--temperature 0 --beam-size 5 --word-timestamps --no-downgrade --decode-mode sequential"
    )

    client("transcribe", *asked.split(), *recordings("talk.mp3"))

    (request,) = toy.seen("PUT")
    assert request.query == {
        "filename": "talk.mp3",
        "model_size": "small",
        "language": "de",
        "task": "translate",
        "priority": "high",
        "initial_prompt": "Müller",
        "temperature": "0",
        "beam_size": "5",
        "word_timestamps": "true",
        "allow_downgrade": "false",
        "decode_mode": "sequential",
    }


def test_what_was_not_asked_for_is_left_to_the_server(toy, client, recordings):
    client("transcribe", *recordings("talk.mp3"))

    (request,) = toy.seen("PUT")
    assert request.query == {"filename": "talk.mp3"}


def test_a_name_with_quotes_emoji_and_line_breaks_reaches_the_server_readable(
    toy, client, recordings
):
    outcome = client("transcribe", *recordings('we\n"ird" & 100% 🎤 [x].mp3'))

    (job,) = toy.jobs.values()
    assert outcome.code == 0
    assert job.filename == 'we\N{REPLACEMENT CHARACTER}"ird" & 100% 🎤 [x].mp3'


def test_the_key_is_sent_with_every_request(toy, client, recordings, monkeypatch):
    monkeypatch.setenv("SCRIPTORIUM_API_KEY", "sesame")

    client("transcribe", *recordings("talk.mp3"))

    assert {request.headers.get("X-API-Key") for request in toy.requests} == {"sesame"}


def test_the_server_comes_from_the_environment(toy, client, recordings, monkeypatch):
    monkeypatch.setenv("SCRIPTORIUM_SERVER", "127.0.0.1:1")

    outcome = client("transcribe", *recordings("talk.mp3"), server=toy.url.removeprefix("http://"))

    assert outcome.code == 0


def test_the_format_and_the_line_options_are_asked_of_the_result(toy, client, recordings):
    client(
        *["transcribe", "--format", "srt", "--max-line-width", "42", "--max-line-count", "2"],
        *recordings("talk.mp3"),
    )

    (request,) = toy.seen("GET", "/result")
    assert request.query == {"format": "srt", "max_line_width": "42", "max_line_count": "2"}


def test_the_first_look_does_not_wait_and_the_next_ones_do(toy, client, recordings):
    toy.default_plan = [QUEUED, RUNNING, DONE]

    client("transcribe", *recordings("talk.mp3"))

    looks = [r.query.get("wait") for r in toy.seen("GET") if not r.path.endswith("/result")]
    assert looks == [None, "20", "20"]


def test_a_failed_job_is_exit_code_1_and_says_why(toy, client, recordings):
    toy.default_plan = [RUNNING, FAILED]

    outcome = client("transcribe", *recordings("talk.mp3"))

    assert (outcome.code, outcome.out) == (1, "")
    assert "error: talk.mp3: the decoder found no sound (audio_unreadable), job" in outcome.err


def test_a_job_that_someone_cancels_is_exit_code_1(toy, client, recordings):
    toy.default_plan = [RUNNING, {"status": "cancelled"}]

    outcome = client("transcribe", *recordings("talk.mp3"))

    assert outcome.code == 1
    assert "the job was cancelled" in outcome.err


def test_a_refused_option_is_exit_code_4_with_the_allowed_values(toy, client, recordings):
    refusal = error(
        "option_invalid", "unknown model_size 'bas', did you mean 'base'?", allowed=["tiny", "base"]
    )
    toy.script("PUT", "/transcribe/", 422, refusal)

    outcome = client("transcribe", "--model", "bas", *recordings("talk.mp3"))

    assert outcome.code == 4
    assert "unknown model_size 'bas', did you mean 'base'? (option_invalid)" in outcome.err
    assert "allowed: tiny, base" in outcome.err
    assert "request: req-1" in outcome.err


def test_an_option_refused_once_is_not_tried_on_the_other_files(toy, client, recordings):
    toy.script("PUT", "/transcribe/", 422, error("option_invalid", "no such thing"), times=9)

    outcome = client("transcribe", "--jobs", "1", *recordings("a.mp3", "b.mp3", "c.mp3"))

    assert outcome.code == 4
    assert len(toy.seen("PUT")) == 1
    assert outcome.err.count("error:") == 1
    assert "2 files were not sent" in outcome.err


def test_a_refused_recording_does_not_stop_the_others(toy, client, recordings):
    toy.script("PUT", "/transcribe/", 422, error("audio_unreadable", "this is a picture"))

    outcome = client("transcribe", "--jobs", "1", *recordings("a.mp3", "b.mp3"))

    assert outcome.code == 4
    assert outcome.out == "text of b.mp3\n"
    assert "error: a.mp3: this is a picture (audio_unreadable)" in outcome.err


def test_a_wrong_key_says_where_the_key_comes_from(toy, client, recordings):
    toy.script("PUT", "/transcribe/", 401, error("api_key_invalid", "unknown key"))

    outcome = client("transcribe", *recordings("talk.mp3"))

    assert outcome.code == 4
    assert "--key or SCRIPTORIUM_API_KEY" in outcome.err


def test_a_server_that_is_not_there_is_exit_code_3(client, recordings):
    outcome = client(
        "transcribe", "--timeout", "0.2", *recordings("a.mp3", "b.mp3"), server="127.0.0.1:1"
    )

    assert outcome.code == 3
    assert outcome.err.count("error:") == 1
    assert "no server answers at http://127.0.0.1:1 (connection refused)" in outcome.err


def test_another_kind_of_server_is_told_apart(toy, client, recordings):
    toy.script("PUT", "/transcribe/", 200, b"<html>welcome</html>")

    outcome = client("transcribe", *recordings("talk.mp3"))

    assert outcome.code == 3
    assert "does not answer like a Scriptorium server" in outcome.err


def test_a_redirect_names_the_address_to_give(toy, client, recordings):
    toy.script("PUT", "/", 308, headers={"Location": "https://other.test/transcribe/"})

    outcome = client("transcribe", *recordings("talk.mp3"))

    assert outcome.code == 4
    assert "https://other.test/transcribe/" in outcome.err


def test_a_503_at_the_upload_is_tried_again_with_the_whole_file(toy, client, recordings):
    toy.script("PUT", "/transcribe/", 503, error("database_unavailable", "Postgres is away"))

    outcome = client("transcribe", *recordings("talk.mp3"))

    (job,) = toy.jobs.values()
    assert outcome.code == 0
    assert job.body == b"soundtalk.mp3"
    assert "HTTP 503: Postgres is away" in outcome.err
    assert "the server answers again" in outcome.err


@pytest.mark.parametrize("status", [502, 504])
def test_a_proxys_error_at_the_upload_is_not_tried_again(toy, client, recordings, status):
    toy.script("PUT", "/transcribe/", status)

    outcome = client("transcribe", *recordings("talk.mp3"))

    assert outcome.code == 3
    assert len(toy.seen("PUT")) == 1
    assert "may have accepted the file" in outcome.err


def test_a_lost_answer_to_a_complete_upload_is_not_tried_again(toy, client, recordings):
    toy.script("PUT", "/transcribe/", HANG_UP)

    outcome = client("transcribe", *recordings("talk.mp3"))

    assert outcome.code == 3
    assert len(toy.seen("PUT")) == 1
    assert "may have accepted it" in outcome.err


def test_an_upload_that_breaks_half_way_is_sent_again(toy, client, recordings):
    large = b"x" * 30_000_000  # more than the sockets of a loopback connection hold
    toy.script("PUT", "/transcribe/", HANG_UP, reads_body=False)

    outcome = client("transcribe", *recordings("talk.mp3", content=large))

    assert outcome.code == 0
    assert len(toy.jobs) == 1


@pytest.mark.parametrize("is_patient", [True, False], ids=["server reads on", "server hangs up"])
def test_a_refusal_in_the_middle_of_an_upload_is_understood(toy, client, recordings, is_patient):
    large = b"x" * 30_000_000
    refusal = error("upload_too_large", "at most 1 MB")
    toy.script("PUT", "/transcribe/", 413, refusal, reads_body=False, lingers=is_patient)

    outcome = client("transcribe", *recordings("talk.mp3", content=large))

    assert outcome.code == 4
    assert "at most 1 MB (upload_too_large)" in outcome.err
    assert len(toy.seen("PUT")) == 1


def test_polling_survives_lost_connections_and_502_and_503(toy, client, recordings):
    toy.default_plan = [QUEUED, RUNNING, DONE]
    toy.script("GET", "/transcribe/", HANG_UP)
    toy.script("GET", "/transcribe/", 502)
    toy.script("GET", "/transcribe/", 503)

    outcome = client("transcribe", *recordings("talk.mp3"))

    assert (outcome.code, outcome.out) == (0, "text of talk.mp3\n")
    assert "trying again" in outcome.err


def test_a_restart_of_the_server_does_not_lose_the_job(toy, client, recordings):
    toy.default_plan = [QUEUED, *[RUNNING] * 5, DONE]
    later = []

    def restart():
        toy.wait_until(lambda: toy.seen("GET"))
        later.append(toy.restart())

    orchestrator = threading.Thread(target=restart)
    orchestrator.start()
    outcome = client("transcribe", *recordings("talk.mp3"))
    orchestrator.join()

    assert (outcome.code, outcome.out) == (0, "text of talk.mp3\n")
    assert later[0].seen("GET")


def test_a_server_that_stays_away_is_exit_code_3_and_names_the_job(toy, client, recordings):
    toy.script("GET", "/transcribe/", HANG_UP, times=50)

    outcome = client("transcribe", "--timeout", "0.3", *recordings("talk.mp3"))

    (job,) = toy.jobs.values()
    assert outcome.code == 3
    assert f"job {job.id} may still be running there" in outcome.err


def test_several_transcripts_come_in_the_order_of_the_inputs(toy, client, recordings):
    toy.plans["a.mp3"] = [QUEUED, RUNNING, RUNNING, DONE]

    outcome = client("transcribe", *recordings("a.mp3", "b.mp3", "c.mp3"))

    assert outcome.out == "text of a.mp3\ntext of b.mp3\ntext of c.mp3\n"


def test_one_failure_among_several_keeps_the_other_transcripts(toy, client, recordings):
    toy.plans["b.mp3"] = [FAILED]

    outcome = client("transcribe", *recordings("a.mp3", "b.mp3", "c.mp3"))

    assert outcome.code == 1
    assert outcome.out == "text of a.mp3\ntext of c.mp3\n"


def test_a_smaller_model_and_the_servers_warnings_are_told_once(toy, client, recordings):
    fallback = {
        "rung": "smaller_model",
        "stage": "load",
        "from_model": "small",
        "to_model": "base",
        "reason": "out of memory",
    }
    news = {
        "fallbacks": [fallback],
        "warnings": [{"code": "audio_repaired", "message": "0:03 of the recording were lost"}],
        "model_size": "small",
    }
    toy.default_plan = [{**RUNNING, **news}, {**DONE, **news}]

    outcome = client("transcribe", "--quiet", *recordings("talk.mp3"))

    assert outcome.err_plain.splitlines() == [
        "warning: talk.mp3: base was used instead of small (out of memory)",
        "warning: talk.mp3: 0:03 of the recording were lost",
    ]


def test_a_failed_attempt_is_told_while_the_job_waits_for_the_next(toy, client, recordings):
    waiting = {
        **QUEUED,
        "current_step": "waiting_for_retry",
        "attempt": 1,
        "max_attempts": 5,
        "error_message": "the worker was lost",
    }
    toy.default_plan = [waiting, DONE]

    outcome = client("transcribe", *recordings("talk.mp3"))

    assert "warning: talk.mp3: attempt 1 failed: the worker was lost" in outcome.err
    assert "talk.mp3: will retry, attempt 2 of 5" in outcome.err


def test_purge_removes_the_job_only_after_the_transcript_is_written(
    toy, client, recordings, tmp_path
):
    target = tmp_path / "talk.txt"

    outcome = client("transcribe", "--purge", "-o", str(target), *recordings("talk.mp3"))

    assert outcome.code == 0
    assert target.read_text() == "text of talk.mp3"
    assert toy.purged == list(toy.jobs)


def test_a_transcript_that_cannot_be_written_is_not_purged(toy, client, recordings, tmp_path):
    blocked = tmp_path / "no-folder"
    blocked.write_text("a file where a folder should be")

    outcome = client("transcribe", "--purge", "-o", f"{blocked}/t.txt", *recordings("talk.mp3"))

    (job,) = toy.jobs.values()
    assert outcome.code == 1
    assert toy.purged == []
    assert f"the server keeps the result of job {job.id}" in outcome.err


def test_detach_prints_the_ids_in_order_and_asks_nothing_more(toy, client, recordings):
    outcome = client("transcribe", "--detach", *recordings("a.mp3", "b.mp3"))

    ids = {job.filename: job.id for job in toy.jobs.values()}
    assert outcome.out.split() == [ids["a.mp3"], ids["b.mp3"]]
    assert toy.seen("GET") == []


def test_uploads_run_side_by_side_but_no_more_than_asked_for(toy, client, recordings):
    toy.uploads_wait_for = 3

    client("transcribe", "--jobs", "2", *recordings(*(f"{n}.mp3" for n in range(4))))

    assert len(toy.jobs) == 4
    assert toy.most_uploads_at_once == 2
