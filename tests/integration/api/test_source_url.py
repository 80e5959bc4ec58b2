"""A recording by its address becomes a job like any other."""

import gzip
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import text

from audio.ffmpeg import find_ffmpeg
from audio.probe import probe
from outgoing.rules import Rules
from tests.integration.api.conftest import KEY, make_app, web_server
from tests.integration.services.conftest import files_in
from tests.peer import CERTIFICATE, answer, peer
from tests.recordings import make_recording

SECRET = "hunter2"


@pytest.fixture
def ask(services):
    """Submit what a script answers with, looked at by the real ffmpeg."""
    ffmpeg = find_ffmpeg("")

    def ask(script, **fields):
        with peer(script, is_tls=False) as server:
            rules = Rules(
                allowed=frozenset({("nas.lan", server.port)}),
                resolve=lambda host, port: ["127.0.0.1"],
            )
            real = replace(
                services,
                outgoing=rules,
                probe=lambda path: probe(path, ffmpeg=ffmpeg, timeout_s=30),
            )
            url = f"http://nas.lan:{server.port}/a%20talk.wav?signature={SECRET}"
            client = make_app(real).test_client()
            form = {"source_url": url, **fields}
            return client, client.post(
                "/transcribe/", data=form, content_type="multipart/form-data"
            )

    return ask


def test_the_job_has_the_recording_and_its_name(ask, tmp_path):
    path = make_recording("wav_8khz", tmp_path)

    client, found = ask(answer(path.read_bytes(), Content_Type="audio/wav"), language="en")

    assert found.status_code == 202
    job = client.get(found.headers["Location"]).json
    assert (job["filename"], job["size_bytes"]) == ("a talk.wav", path.stat().st_size)
    assert client.get(f"{found.headers['Location']}/audio").data == path.read_bytes()


def test_the_database_learns_nothing_of_the_address(ask, services, tmp_path):
    path = make_recording("wav_8khz", tmp_path)

    ask(answer(path.read_bytes()))

    with services.open_session() as session:
        rows = session.execute(text("SELECT row_to_json(j) FROM transcription_jobs j")).all()
        events = session.execute(text("SELECT row_to_json(e) FROM job_events e")).all()
    assert len(rows) == 1
    assert SECRET not in str([*rows, *events])
    assert "nas.lan" not in str([*rows, *events])


@pytest.mark.parametrize(
    "body",
    [b"not a recording", gzip.compress(b"RIFF" + bytes(1000)), b"#EXTM3U\nfile:///etc/passwd\n"],
    ids=["text", "packed", "playlist"],
)
def test_what_is_no_recording_leaves_neither_a_job_nor_a_file(ask, services, body):
    client, found = ask(answer(body))

    assert (found.status_code, found.json["code"]) == (422, "audio_unreadable")
    assert client.get("/jobs/").json["jobs"] == []
    assert files_in(services.storage.root) == []


def test_a_broken_transfer_leaves_neither_a_job_nor_a_file(ask, services):
    client, found = ask(answer(b"RIFF", length=1000))

    assert (found.status_code, found.json["code"]) == (422, "source_unavailable")
    assert found.json["details"]["reason"] == "connection_lost"
    assert client.get("/jobs/").json["jobs"] == []
    assert files_in(services.storage.root) == []


def test_a_real_server_fetches_over_tls_from_the_hosts_that_its_settings_name(
    migrated_database, redis_url, tmp_path
):
    content = make_recording("wav_8khz", tmp_path / "made").read_bytes()
    with peer(answer(content)) as named, peer(answer(content)) as other:
        settings = {
            "OUTGOING_ALLOW": f"localhost:{named.port}",
            "SSL_CERT_FILE": str(CERTIFICATE),
        }
        with web_server(migrated_database, redis_url, tmp_path, **settings) as (address, _):
            found, refused = (
                httpx.post(
                    f"{address}/transcribe/",
                    files={"source_url": (None, f"https://localhost:{port}/talk.wav")},
                    headers=KEY,
                )
                for port in (named.port, other.port)
            )

    assert found.status_code == 202
    assert (refused.status_code, refused.json()["code"]) == (422, "source_url_refused")
    assert (len(named.requests), len(other.requests)) == (1, 0)
