"""Recordings by address, from a local internet into a real store."""

import gzip
import logging
from dataclasses import replace
from threading import BoundedSemaphore

import pytest

from config import load_settings
from domain.errors import ServerBusy, SourceRefused, SourceUnavailable, StorageFull, UploadTooLarge
from services.context import Services
from services.fetching import fetch_recording
from storage.local import LocalStorage
from tests.peer import answer, drip, redirect

MIB = 1024 * 1024
URL = "https://files.test/recordings/talk.mp3?token=hunter2"


@pytest.fixture
def services(tmp_path, rules):
    settings = load_settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        admin_api_key="0123456789abcdef",
        max_upload_size_mb=1,
        source_timeout_s=10,
    )
    return Services(
        settings=settings,
        open_session=lambda: pytest.fail("no database here"),
        storage=LocalStorage(tmp_path, min_free_bytes=0),
        publish=lambda job_id, queue: None,
        probe=lambda path: pytest.fail("nothing is probed here"),
        queue_depths=lambda: None,
        outgoing=rules,
    )


@pytest.fixture
def files(tmp_path):
    def look():
        return [path for path in tmp_path.rglob("*") if path.is_file()]

    return look


def with_settings(services, **changes):
    return replace(services, settings=services.settings.model_copy(update=changes))


def unavailable(services, files):
    """Why nothing came; and that nothing was left."""
    with pytest.raises(SourceUnavailable) as caught:
        fetch_recording(services, URL)
    assert files() == []
    return caught.value.details


def test_a_recording_lands_in_the_store(internet, services, files):
    content = bytes(range(256)) * 2000
    internet.serve(answer(content, Content_Type="audio/mpeg"))

    fetched = fetch_recording(services, URL)

    assert [path.read_bytes() for path in files()] == [content]
    assert fetched.stored.size_bytes == len(content)
    assert (fetched.filename, fetched.content_type) == ("talk.mp3", "audio/mpeg")


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('attachment; filename="a b.mp3"', "a b.mp3"),
        ("attachment; filename=../../etc/passwd", "passwd"),
        ("attachment; filename*=UTF-8''Gespr%C3%A4ch.mp3", "Gespräch.mp3"),
        ('attachment; filename="Gespräch.mp3"', "Gespräch.mp3"),
        ('attachment; filename="a\x07b.mp3"', "ab.mp3"),
        ("attachment", "talk.mp3"),
        ("", "talk.mp3"),
        ("attachment; filename*=idna''%ff", "talk.mp3"),
        ("attachment; filename*=UTF-8''%ff.mp3", "\ufffd.mp3"),
        ("attachment; filename=a.mp3; filename*=utf-8'en'b.mp3", "b.mp3"),
        ('attachment; filename="a \\"b\\".mp3"', 'a "b".mp3'),
        ("attachment; filename*=\x00''x", "talk.mp3"),
        ('attachment; filename="a', "talk.mp3"),
        ('attachment; filename=".."', "talk.mp3"),
    ],
)
def test_the_name_is_what_the_server_says_or_the_end_of_the_path(
    internet, services, disposition, filename
):
    internet.serve(answer(b"x", Content_Disposition=disposition))

    assert fetch_recording(services, URL).filename == filename


def test_an_address_without_a_path_gives_no_name(internet, services):
    internet.serve(answer(b"x"))

    assert fetch_recording(services, "https://files.test").filename is None


def test_a_redirect_gives_its_own_name(internet, services):
    internet.serve(redirect("https://other.test/b/other%20talk.mp3?signature=x"))
    internet.serve(answer(b"x"), host="other.test", address="93.184.216.35")

    assert fetch_recording(services, URL).filename == "other talk.mp3"


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "206 Partial", "204 Empty"])
def test_any_other_status_than_200_is_no_recording(internet, services, files, status):
    internet.serve(answer(b"x", status))

    details = unavailable(services, files)

    assert details["reason"] == "status"
    assert details["status"] == int(status[:3])


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "application/xhtml+xml"])
def test_a_web_page_is_no_recording(internet, services, files, kind):
    internet.serve(answer(b"<html>", Content_Type=kind))

    assert unavailable(services, files)["reason"] == "web_page"


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate, gzip"])
def test_a_compressed_answer_is_not_unpacked(internet, services, files, encoding):
    bomb = gzip.compress(bytes(5 * MIB))
    internet.serve(answer(bomb, Content_Encoding=encoding))

    assert unavailable(services, files)["reason"] == "compressed"


def test_an_empty_answer_is_no_recording(internet, services, files):
    internet.serve(answer(b""))

    assert unavailable(services, files)["reason"] == "empty"


def test_an_answer_that_is_cut_short_leaves_nothing(internet, services, files):
    internet.serve(answer(b"hello", length=10))

    assert unavailable(services, files)["reason"] == "connection_lost"


def test_a_slow_answer_ends_at_the_deadline_and_leaves_nothing(internet, services, files):
    server = internet.serve(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"a", lambda: server))

    details = unavailable(with_settings(services, source_timeout_s=0.3), files)

    assert details["reason"] == "deadline"


@pytest.mark.parametrize("length", [None, 1000], ids=["endless", "lying"])
def test_a_body_past_the_cap_is_not_taken_on(internet, services, files, length):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    head += b"Content-Length: 1000\r\n\r\n" if length else b"\r\n"
    server = internet.serve(drip(head, b"40000\r\n" + bytes(0x40000) + b"\r\n", lambda: server))

    with pytest.raises(UploadTooLarge):
        fetch_recording(services, URL)

    assert files() == []


def test_a_body_that_announces_too_much_is_not_begun(internet, services, files):
    internet.serve(answer(b"x", length=MIB + 1))

    with pytest.raises(UploadTooLarge):
        fetch_recording(services, URL)

    assert files() == []


def test_a_body_that_does_not_fit_the_disk_is_not_begun(internet, services, files, tmp_path):
    internet.serve(answer(b"x"))
    full = replace(services, storage=LocalStorage(tmp_path, min_free_bytes=2**60))

    with pytest.raises(StorageFull):
        fetch_recording(full, URL)

    assert files() == []


def test_a_refused_address_names_the_rule_and_not_what_the_name_leads_to(internet, services):
    internet.names["files.test"] = [["10.1.2.3"]]

    with pytest.raises(SourceRefused) as caught:
        fetch_recording(services, URL)

    assert caught.value.details == {"option": "source_url", "reason": "address_not_public"}
    assert "10.1.2.3" not in str(caught.value)


def test_no_more_are_fetched_at_once_than_there_are_places(internet, services):
    internet.serve(answer(b"x"))
    busy = replace(services, fetch_places=BoundedSemaphore(1))

    with busy.fetch_places, pytest.raises(ServerBusy) as caught:
        fetch_recording(busy, URL)

    assert caught.value.details["retry_after_s"] > 0
    assert internet.asked == []


def test_a_failed_fetch_gives_its_place_back(internet, services):
    internet.serve(answer(b"x", "404 Not Found"))
    narrow = replace(services, fetch_places=BoundedSemaphore(1))

    for _ in range(2):
        with pytest.raises(SourceUnavailable):
            fetch_recording(narrow, URL)


def test_what_the_address_holds_beside_its_host_is_not_logged(internet, services, caplog):
    internet.serve(answer(b"x"))
    caplog.set_level(logging.DEBUG)

    fetch_recording(services, URL)

    assert "recording_fetched" in caplog.text
    logged = [str(vars(record)) for record in caplog.records]
    assert not any("hunter2" in line or "talk.mp3" in line for line in logged)


@pytest.mark.parametrize("kind", ["a\x00/b", "audio", "audio/" + "x" * 100, "", "audio/mp3 \u00fc"])
def test_a_media_type_out_of_shape_is_not_kept(internet, services, kind):
    internet.serve(answer(b"x", Content_Type=kind))

    assert fetch_recording(services, URL).content_type is None


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1, 1", "x"])
def test_a_length_that_is_no_number_is_not_believed(internet, services, length):
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nx"
    internet.serve(lambda _, connection: connection.sendall(head.encode()))

    assert fetch_recording(services, URL).stored.size_bytes == 1
