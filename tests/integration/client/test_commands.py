from collections import deque

from tests.integration.client.toy_server import DONE, FAILED, RUNNING, ToyJob, error

ID = "11111111-1111-1111-1111-111111111111"


def put_job(toy, state, job_id=ID):
    toy.jobs[job_id] = ToyJob(job_id, "talk.mp3", deque([state]), b"")


def test_status_says_how_far_a_job_is(toy, client):
    put_job(toy, RUNNING)

    outcome = client("status", ID)

    assert outcome.code == 0
    assert outcome.out == f"{ID}  processing  transcribing, 50%, 0:05 left, 6.0x\n"


def test_status_of_a_failed_job_is_exit_code_1(toy, client):
    put_job(toy, FAILED)

    outcome = client("status", ID)

    assert outcome.code == 1
    assert "the decoder found no sound" in outcome.out


def test_status_of_an_unknown_job_is_exit_code_4(client):
    outcome = client("status", "nobody")

    assert outcome.code == 4
    assert "error: nobody: there is no job with this id (job_not_found)" in outcome.err


def test_an_id_cannot_reach_another_route(toy, client):
    client("status", "../jobs/")

    (request,) = toy.requests
    assert request.path == "/transcribe/..%2Fjobs%2F"


def test_cancel_cancels(toy, client):
    put_job(toy, RUNNING)

    outcome = client("cancel", ID)

    assert outcome.code == 0
    assert toy.cancelled == [ID]


def test_cancel_of_a_finished_job_shows_the_servers_reason(toy, client):
    toy.script("DELETE", ID, 409, error("job_state_conflict", "it is over", status="completed"))

    outcome = client("cancel", ID)

    assert outcome.code == 4
    assert "it is over (job_state_conflict)" in outcome.err
    assert "status: completed" in outcome.err


def test_list_prints_one_line_per_job_and_passes_the_filters(toy, client):
    put_job(toy, DONE)

    outcome = client("list", "--status", "completed", "--model", "base", "--since", "2025-01-01")

    (request,) = toy.requests
    assert outcome.out.split("\t")[:2] == [ID, "completed"]
    assert outcome.out.endswith("talk.mp3\n")
    assert request.query == {
        "status": "completed",
        "model_size": "base",
        "created_from": "2025-01-01",
        "limit": "25",
    }


def test_list_follows_the_pages_up_to_the_limit(toy, client):
    page = {"jobs": [{"job_id": ID, "status": "failed"}] * 100, "has_more": True}
    toy.script("GET", "/jobs/", 200, {**page, "next_cursor": "c1"})
    toy.script("GET", "/jobs/", 200, {**page, "jobs": page["jobs"][:20], "next_cursor": "c2"})

    outcome = client("list", "--limit", "120")

    assert len(outcome.out.splitlines()) == 120
    assert [r.query for r in toy.requests] == [{"limit": "100"}, {"limit": "20", "cursor": "c1"}]
    assert "there are more" in outcome.err


def test_result_prints_the_format_asked_for(toy, client):
    put_job(toy, DONE)
    toy.results["talk.mp3"] = "WEBVTT\n\nGrüße\n".encode()

    outcome = client("result", ID, "--format", "vtt")

    assert outcome.out == "WEBVTT\n\nGrüße\n"
    assert toy.requests[-1].query == {"format": "vtt"}


def test_result_does_not_overwrite_without_force(toy, client, tmp_path):
    put_job(toy, DONE)
    (tmp_path / "t.txt").write_text("precious")

    outcome = client("result", ID, "-o", str(tmp_path / "t.txt"))

    assert outcome.code == 1
    assert (tmp_path / "t.txt").read_text() == "precious"


def test_errors_lists_the_dead_letters(toy, client):
    letter = {"id": 7, "job_id": ID, "type": "out_of_memory", "message": "too\nbig"}
    toy.script("GET", "/admin/errors", 200, {"errors": [letter], "has_more": False})

    outcome = client("errors", "--type", "out_of_memory", "--key", "admin")

    assert outcome.code == 0
    assert outcome.out.startswith(f"7\t{ID}\tout_of_memory")
    assert len(outcome.out.splitlines()) == 1
    assert toy.requests[-1].query == {
        "type": "out_of_memory",
        "limit": "25",
        "resolved": "false",
    }


def test_a_fault_of_the_server_is_exit_code_3_with_its_request_id(toy, client):
    toy.script("GET", "/jobs/", 500, error("internal_error", "something broke here"))

    outcome = client("list")

    assert outcome.code == 3
    assert "HTTP 500, something broke here [request req-1]" in outcome.err
