"""Recordings that the server fetches by itself."""

import pytest

from client.addresses import name_of
from tests.integration.client.toy_server import error

ADDRESS = "https://files.example/recordings/talk.mp3"


def test_the_server_is_told_the_address_and_the_transcript_comes_back(toy, client):
    toy.results["talk.mp3"] = b"Good morning.\n"

    outcome = client("transcribe", ADDRESS, "--model", "small")

    (request,) = toy.seen("POST")
    assert (outcome.code, outcome.out) == (0, "Good morning.\n")
    assert request.query == {"model_size": "small"}
    assert [job.filename for job in toy.jobs.values()] == ["talk.mp3"]


def test_files_and_addresses_go_together_each_into_its_own_output(
    toy, client, recordings, tmp_path
):
    out = tmp_path / "out"

    outcome = client("transcribe", ADDRESS, *recordings("talk.wav"), "-o", str(out))

    assert outcome.code == 0
    assert sorted(path.name for path in out.iterdir()) == ["talk.mp3.txt", "talk.wav.txt"]


def test_an_address_may_be_longer_than_any_path(toy, client, tmp_path):
    long = f"{ADDRESS}?signature={'a' * 3000}"

    outcome = client("transcribe", long, "-o", str(tmp_path / "talk.txt"))

    assert outcome.code == 0
    assert len(toy.seen("POST")) == 1


def test_what_the_server_refuses_is_said_without_the_rest_of_the_address(toy, client):
    toy.script("POST", "/transcribe", 422, error("source_url_refused", "not on the internet"))

    outcome = client("transcribe", "https://10.0.0.1/talk.mp3?token=hunter2")

    assert outcome.code != 0
    assert "not on the internet" in outcome.err
    assert "hunter2" not in outcome.err


def test_an_address_with_a_line_break_is_refused_before_it_is_sent(toy, client):
    outcome = client("transcribe", "https://files.example/a\r\n\r\nb")

    assert outcome.code == 2
    assert toy.requests == []


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (f"{ADDRESS}?token=x", "talk.mp3"),
        ("https://files.example/a%20talk.mp3/", "a talk.mp3"),
        ("https://files.example", "files.example"),
        ("https://user:password@files.example/?a", "files.example"),
    ],
)
def test_an_address_is_called_by_the_end_of_its_path_or_by_its_host(address, name):
    assert name_of(address) == name
