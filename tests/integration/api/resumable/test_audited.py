"""What the audit log tells of an upload in pieces: its beginning, its job, and a deletion."""

from services.audit import list_entries
from tests.integration.api.resumable.uploads import AUDIO, PIECE, TUS, id_of, the_job

ONE = "/uploads/<string:upload_id>"
BY_POST = {"X-HTTP-Method-Override": "PATCH"}


def told(services):
    entries, _ = list_entries(services)
    return [(entry.action, entry.target, entry.detail.get("job_id")) for entry in entries]


def test_it_tells_when_an_upload_begins_and_when_it_is_a_job(client, services, begin, send):
    where = begin()
    for offset in range(0, len(AUDIO), 10_000):
        send(where, AUDIO[offset : offset + 10_000], offset)

    entries = told(services)

    assert entries == [
        (f"PATCH {ONE}", id_of(where), str(the_job(services).id)),
        ("POST /uploads", id_of(where), None),
    ]


def test_it_tells_when_an_upload_is_removed_and_of_no_piece(client, services, begin, send):
    where = begin()
    send(where, AUDIO[:10], 0)
    client.post(where, data=AUDIO[10:20], headers={**PIECE, "Upload-Offset": "10", **BY_POST})
    client.delete(where, headers=TUS)

    entries = told(services)

    assert entries == [(f"DELETE {ONE}", id_of(where), None), ("POST /uploads", id_of(where), None)]


def test_an_upload_that_comes_whole_with_its_beginning_is_one_entry(client, services):
    headers = {**PIECE, "Upload-Length": str(len(AUDIO))}
    client.post("/uploads", data=AUDIO, headers=headers)

    entries = told(services)

    assert entries == [("POST /uploads", str(the_job(services).id), None)]
