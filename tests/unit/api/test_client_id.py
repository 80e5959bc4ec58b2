"""Whose a submitted job is."""

from io import BytesIO

import pytest


def submit(client, **options):
    return client.post("/transcribe/", data={"file": (BytesIO(b"recording"), "a.mp3")}, **options)


@pytest.mark.parametrize("name", ["me", "A", "team@example.org", "a-b_c.d", "x" * 64])
def test_the_header_names_the_client(client, jobs, name):
    by_form = submit(client, headers={"X-Client-ID": name})
    by_put = client.put("/transcribe/", data=b"recording", headers={"X-Client-ID": name})

    assert (by_form.status_code, by_put.status_code) == (202, 202)
    assert [call["client"] for call in jobs.submitted] == [name, name]


def test_without_the_header_it_is_the_address(client, jobs):
    submit(client, environ_base={"REMOTE_ADDR": "10.0.0.9"})

    assert jobs.submitted[0]["client"] == "10.0.0.9"


@pytest.mark.parametrize("name", ["", "x" * 65, "two words", "ümlaut", "a/b", "a\tb"])
@pytest.mark.parametrize(
    "address", [("POST", "/transcribe/"), ("PUT", "/transcribe/"), ("GET", "/jobs/events")]
)
def test_a_name_that_is_none_is_refused(client, jobs, files_on_disk, address, name):
    method, path = address

    answer = client.open(path, method=method, headers={"X-Client-ID": name}, data=b"recording")

    assert (answer.status_code, answer.json["code"]) == (422, "option_invalid")
    assert answer.json["details"]["option"] == "X-Client-ID"
    assert files_on_disk() == []
