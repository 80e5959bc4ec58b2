"""Upload sessions, header by header, over real Postgres."""

import base64
import hashlib
from dataclasses import replace

import pytest
from sqlalchemy import select

from domain.errors import UploadNotFound
from models import TranscriptionJob, UploadSession
from services import upload_sessions
from services.upload_sessions import append_piece, get_upload
from tests.integration.api.conftest import make_app
from tests.integration.api.resumable.uploads import (
    AUDIO,
    PIECE,
    SHA256,
    TUS,
    count,
    id_of,
    metadata,
    offset_of,
    set_session,
    the_job,
)


def test_it_says_what_it_can_do(client, services):
    answer = client.options("/uploads")

    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Max-Size"] == str(services.settings.max_session_bytes)
    assert answer.headers["Tus-Extension"].split(",") == [
        "creation",
        "creation-with-upload",
        "expiration",
        "termination",
        "checksum",
    ]


def test_pieces_become_one_job_with_the_options_that_were_said(client, services, begin, send):
    where = begin(filename="talk.wav", filetype="audio/wav", language="german", model_size="tiny")

    first = send(where, AUDIO[:60_000], 0)
    second = send(where, AUDIO[60_000:], 60_000)

    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "60000")
    assert "X-Job-ID" not in first.headers
    assert (second.status_code, second.headers["Upload-Offset"]) == (204, "100000")
    job = client.get(second.headers["Location"]).json
    assert job["job_id"] == second.headers["X-Job-ID"]
    assert (job["sha256"], job["size_bytes"]) == (SHA256, 100_000)
    assert (job["filename"], job["content_type"]) == ("talk.wav", "audio/wav")
    assert (job["options"]["language"], job["model_size"]) == ("de", "tiny")
    recording = client.get(f"{second.headers['Location']}/audio").data
    assert recording == AUDIO


def test_the_head_of_an_upload_says_where_to_go_on(client, begin, send):
    where = begin(filename="talk.wav")
    send(where, AUDIO[:60_000], 0)

    answer = client.head(where, headers=TUS)

    assert answer.status_code == 200
    assert answer.headers["Upload-Offset"] == "60000"
    assert answer.headers["Upload-Length"] == "100000"
    assert answer.headers["Upload-Metadata"] == metadata(filename="talk.wav")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Upload-Expires"].endswith("GMT")


def test_a_finished_upload_still_says_which_job_it_is(client, services, begin, send):
    where = begin()
    send(where, AUDIO, 0)

    answer = client.head(where, headers=TUS)
    again = send(where, b"", 100_000)

    assert answer.headers["X-Job-ID"] == again.headers["X-Job-ID"] == str(the_job(services).id)
    assert answer.headers["Upload-Offset"] == "100000"


def test_the_first_piece_may_come_with_the_creation(client, services):
    answer = client.post("/uploads", data=AUDIO, headers={**PIECE, "Upload-Length": "100000"})

    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "100000")
    assert answer.headers["X-Job-ID"] == str(the_job(services).id)


def test_a_piece_that_begins_elsewhere_is_refused_and_the_place_is_named(client, begin, send):
    where = begin()
    send(where, AUDIO[:10], 0)

    answer = send(where, AUDIO[20:], 20)

    assert (answer.status_code, answer.json["code"]) == (409, "upload_offset_mismatch")
    assert answer.json["details"] == {"offset": 10}
    assert offset_of(client, where) == 10


def test_a_piece_that_is_longer_than_the_recording_is_refused(client, begin, send):
    where = begin(length=10)

    answer = send(where, AUDIO[:11], 0)

    assert (answer.status_code, answer.json["code"]) == (413, "upload_too_large")
    assert offset_of(client, where) == 0


def test_two_writers_at_once_are_one_too_many(client, services, begin, send):
    where = begin()
    upload_id = id_of(where)
    answers = []

    def pieces():
        yield AUDIO[:10]
        answers.append(send(where, AUDIO, 0))
        answers.append(client.delete(where, headers=TUS))
        yield AUDIO[10:]

    view = append_piece(services, upload_id, pieces(), tenant="default", offset=0)

    assert [(a.status_code, a.json["code"]) for a in answers] == [(423, "upload_locked")] * 2
    assert view.job_id == the_job(services).id
    assert the_job(services).sha256 == SHA256


def test_what_came_before_a_break_is_kept(client, services, begin, send):
    where = begin()

    def pieces():
        yield AUDIO[:70_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        append_piece(services, id_of(where), pieces(), tenant="default", offset=0)

    assert offset_of(client, where) == 70_000
    assert send(where, AUDIO[70_000:], 70_000).status_code == 204
    assert the_job(services).sha256 == SHA256


def test_bytes_that_were_never_called_safe_are_cut_off(client, services, begin, send):
    where = begin()
    send(where, AUDIO[:1000], 0)
    with services.open_session() as session:
        key = session.scalar(select(UploadSession.file_path))
    with (services.storage.root / key).open("ab") as file:
        file.write(b"of a piece that the machine died in")

    before = offset_of(client, where)
    send(where, AUDIO[1000:], 1000)

    assert before == 1000
    assert the_job(services).sha256 == SHA256


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_a_piece_with_the_right_checksum_is_taken(client, begin, send, algorithm):
    where = begin()
    digest = base64.b64encode(hashlib.new(algorithm, AUDIO[:10]).digest()).decode()

    answer = send(where, AUDIO[:10], 0, **{"Upload-Checksum": f"{algorithm} {digest}"})

    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, "10")


def test_a_piece_with_a_wrong_checksum_is_forgotten(client, begin, send):
    where = begin()
    send(where, AUDIO[:10], 0)
    digest = base64.b64encode(hashlib.sha256(b"else").digest()).decode()

    answer = send(where, AUDIO[10:20], 10, **{"Upload-Checksum": f"sha256 {digest}"})

    assert (answer.status_code, answer.json["code"]) == (460, "upload_checksum_mismatch")
    assert offset_of(client, where) == 10


def test_a_piece_with_a_checksum_that_breaks_off_is_forgotten(client, services, begin):
    where = begin()
    checksum = upload_sessions.Checksum("sha256", hashlib.sha256(AUDIO).digest())

    def pieces():
        yield AUDIO[:70_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        append_piece(
            services, id_of(where), pieces(), tenant="default", offset=0, checksum=checksum
        )

    assert offset_of(client, where) == 0


def test_an_ended_upload_leaves_nothing(client, services, begin, send, files):
    where = begin()
    send(where, AUDIO[:10], 0)

    answer = client.delete(where, headers=TUS)

    assert answer.status_code == 204
    assert files() == []
    assert client.head(where, headers=TUS).status_code == 404
    assert send(where, AUDIO[10:], 10).json["code"] == "upload_not_found"


def test_ending_a_finished_upload_keeps_its_job(client, services, begin, send):
    where = begin()
    job = send(where, AUDIO, 0).headers["Location"]

    answer = client.delete(where, headers=TUS)

    assert answer.status_code == 204
    assert client.get(f"{job}/audio").data == AUDIO


def test_no_other_tenant_can_see_an_upload(client, services, begin):
    where = begin()

    set_session(services, tenant="somebody else")

    assert client.head(where, headers=TUS).status_code == 404
    assert client.delete(where, headers=TUS).status_code == 404
    with pytest.raises(UploadNotFound):
        get_upload(services, id_of(where), tenant="default")


def test_a_recording_that_is_no_audio_is_refused_and_nothing_is_kept(
    client, services, begin, send, files, refuse_audio
):
    where = begin()

    answer = send(where, AUDIO, 0)

    assert (answer.status_code, answer.json["code"]) == (422, "audio_unreadable")
    assert files() == []
    assert count(services, UploadSession) == count(services, TranscriptionJob) == 0


def test_options_are_checked_before_anything_is_kept(client, services, files):
    said = metadata(model_size="huge")

    answer = client.post("/uploads", headers={**TUS, "Upload-Length": "5", "Upload-Metadata": said})

    assert (answer.status_code, answer.json["code"]) == (422, "option_invalid")
    assert answer.json["details"]["option"] == "model_size"
    assert files() == []
    assert count(services, UploadSession) == 0


REFUSED = {
    "no version": ({"Upload-Length": "5"}, 412, "tus_version_unsupported"),
    "another version": (
        {"Tus-Resumable": "0.2.2", "Upload-Length": "5"},
        412,
        "tus_version_unsupported",
    ),
    "no length": (TUS, 400, "request_invalid"),
    "a length to come": ({**TUS, "Upload-Defer-Length": "1"}, 400, "request_invalid"),
    "a part of many": (
        {**TUS, "Upload-Concat": "partial", "Upload-Length": "5"},
        400,
        "request_invalid",
    ),
    "nothing at all": ({**TUS, "Upload-Length": "0"}, 422, "file_missing"),
    "too long": ({**TUS, "Upload-Length": str(2**50)}, 413, "upload_too_large"),
    "an unknown option": (
        {**TUS, "Upload-Length": "5", "Upload-Metadata": metadata(speed=3)},
        422,
        "option_invalid",
    ),
    "a field of the wrong type": (
        {**TUS, "Upload-Length": "5", "Upload-Metadata": metadata(beam_size="x")},
        422,
        "validation_error",
    ),
}


@pytest.mark.parametrize(("headers", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_a_creation_that_cannot_be_is_refused(client, services, headers, status, code):
    answer = client.post("/uploads", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert count(services, UploadSession) == 0


def test_a_piece_of_another_type_is_refused(client, begin):
    where = begin()

    answer = client.patch(where, data=AUDIO, headers={**TUS, "Upload-Offset": "0"})

    assert (answer.status_code, answer.json["code"]) == (415, "media_type_unsupported")


def test_an_address_that_is_no_id_leads_nowhere(client):
    answer = client.head("/uploads/none", headers=TUS)

    assert answer.status_code == 404


def test_the_method_may_stand_in_a_header(client, begin):
    where = begin()
    headers = {**PIECE, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}

    piece = client.post(where, data=AUDIO[:10], headers=headers)
    end = client.post(where, headers={**TUS, "X-HTTP-Method-Override": "DELETE"})
    nothing = client.post(where, headers=TUS)

    assert (piece.status_code, piece.headers["Upload-Offset"]) == (204, "10")
    assert end.status_code == 204
    assert nothing.status_code == 405


def test_a_tenant_has_so_many_uploads_at_once(client, services):
    tight = services.settings.model_copy(update={"max_upload_sessions": 1})
    client = make_app(replace(services, settings=tight)).test_client()
    headers = {**TUS, "Upload-Length": "5"}

    first = client.post("/uploads", headers=headers)
    second = client.post("/uploads", headers=headers)
    client.delete(first.headers["Location"], headers=TUS)
    third = client.post("/uploads", headers=headers)

    assert [first.status_code, second.status_code, third.status_code] == [201, 429, 201]
    assert second.json["code"] == "too_many_uploads"


def test_a_recording_that_the_disk_has_no_room_for_is_refused_at_once(client, services):
    services.storage._min_free_bytes = 2**62

    answer = client.post("/uploads", headers={**TUS, "Upload-Length": "5"})

    assert (answer.status_code, answer.json["code"]) == (507, "storage_full")
    assert count(services, UploadSession) == 0
