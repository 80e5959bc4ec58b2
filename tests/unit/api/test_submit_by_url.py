"""A recording by its address, through the form."""

import logging
from dataclasses import replace
from io import BytesIO
from threading import BoundedSemaphore

import pytest

from api.admission import PLACES
from api.current import EXTENSION
from domain.errors import AudioUnreadable
from outgoing.rules import Rules
from tests.peer import answer, peer


@pytest.fixture
def serve(services, app):
    """Let a server of one's own network answer so; returns where it is."""
    servers = []

    def start(script):
        server = peer(script, is_tls=False)
        port = server.__enter__().port
        servers.append(server)
        rules = Rules(
            allowed=frozenset({("nas.lan", port)}), resolve=lambda host, port: ["127.0.0.1"]
        )
        app.extensions[EXTENSION] = replace(services, outgoing=rules)
        return f"http://nas.lan:{port}/talk.mp3?token=hunter2"

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def post(client, **fields):
    return client.post("/transcribe/", data=fields, content_type="multipart/form-data")


def test_the_recording_is_fetched_stored_and_queued(client, jobs, serve, files_on_disk):
    url = serve(answer(b"sound", Content_Type="audio/mpeg"))

    found = post(client, source_url=url, model_size="tiny")

    (call,) = jobs.submitted
    assert found.status_code == 202
    assert (call["filename"], call["content_type"]) == ("talk.mp3", "audio/mpeg")
    assert call["options"].model_size == "tiny"
    assert [path.read_bytes() for path in files_on_disk()] == [b"sound"]


def test_nothing_of_the_address_is_kept_or_logged(client, jobs, serve, caplog):
    url = serve(answer(b"sound"))
    caplog.set_level(logging.DEBUG)

    post(client, source_url=url)

    assert "hunter2" not in str(jobs.submitted)
    assert not any("hunter2" in str(vars(record)) for record in caplog.records)


def test_a_file_and_an_address_are_one_too_many(client, jobs, serve, files_on_disk):
    url = serve(answer(b"sound"))

    found = post(client, source_url=url, file=(BytesIO(b"RIFF"), "a.wav"))

    assert (found.status_code, found.json["code"]) == (422, "option_invalid")
    assert found.json["details"]["option"] == "source_url"
    assert (jobs.submitted, files_on_disk()) == ([], [])


@pytest.mark.parametrize("fields", [{}, {"model_size": "tiny"}, {"source_url": ""}])
def test_neither_is_too_little(client, jobs, fields):
    found = post(client, **fields)

    assert (found.status_code, found.json["code"]) == (422, "file_missing")


def test_a_private_address_is_refused_by_its_rule(client, jobs, files_on_disk):
    found = post(client, source_url="https://10.0.0.1/a.mp3?token=hunter2")

    assert (found.status_code, found.json["code"]) == (422, "source_url_refused")
    assert found.json["details"] == {"option": "source_url", "reason": "address_not_public"}
    assert "hunter2" not in found.text
    assert (jobs.submitted, files_on_disk()) == ([], [])


def test_what_the_other_server_said_is_passed_on_as_a_number(client, jobs, serve):
    url = serve(answer(b"secret of the other server", "403 Forbidden"))

    found = post(client, source_url=url)

    assert (found.status_code, found.json["code"]) == (422, "source_unavailable")
    assert found.json["details"]["status"] == 403
    assert "secret" not in found.text


def test_options_are_checked_before_anything_is_fetched(client, jobs, serve):
    asked = []
    url = serve(lambda request, _: asked.append(request))

    found = post(client, source_url=url, model_size="giant")

    assert found.status_code == 422
    assert asked == []


def test_what_is_no_recording_is_refused_as_an_upload_would_be(client, app, jobs, serve):
    url = serve(answer(b"no sound"))

    def refuse(path):
        raise AudioUnreadable("no sound in it")

    app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], probe=refuse)

    found = post(client, source_url=url)

    assert (found.status_code, found.json["code"]) == (422, "audio_unreadable")


def test_too_many_fetches_are_put_off(client, app, jobs, serve):
    url = serve(answer(b"sound"))
    places = BoundedSemaphore(1)
    app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], fetch_places=places)

    with places:
        found = post(client, source_url=url)

    assert (found.status_code, found.json["code"]) == (503, "server_busy")
    assert int(found.headers["Retry-After"]) > 0


def test_others_are_served_while_a_recording_is_fetched(client, jobs, serve):
    places = BoundedSemaphore(1)
    were_free = []

    def look(request, connection):
        were_free.append(places.acquire(blocking=False) and places.release() is None)
        answer(b"sound")(request, connection)

    url = serve(look)
    with places:
        found = client.post(
            "/transcribe/",
            data={"source_url": url},
            content_type="multipart/form-data",
            environ_overrides={PLACES: places},
        )

    assert found.status_code == 202
    assert were_free == [True]


def test_an_address_in_the_query_is_refused(client, jobs):
    found = client.post(
        "/transcribe/?source_url=https://files.test/a",
        data={},
        content_type="multipart/form-data",
    )

    assert (found.status_code, found.json["code"]) == (422, "option_invalid")
