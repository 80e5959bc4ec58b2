"""What is told to other servers."""

from dataclasses import replace

import pytest

from outgoing.errors import AddressRefused, OutgoingFailed
from outgoing.request import post
from tests.integration.outgoing.conftest import QUICK
from tests.peer import answer, drip, redirect


def test_a_body_arrives_with_its_headers(internet, rules):
    server = internet.serve(answer(b"thanks", "201 Created", X_Answer="yes"))

    found = post("https://files.test/hook?a=b", b"{}", {"webhook-id": "msg_1"}, rules, QUICK)

    (request,) = server.requests
    assert request.line == "POST /hook?a=b HTTP/1.1"
    assert request.headers["webhook-id"] == "msg_1"
    assert request.headers["content-length"] == "2"
    assert request.body == b"{}"
    assert (found.status, found.body, found.headers["x-answer"]) == (201, b"thanks", "yes")
    assert found.elapsed_s > 0


def test_a_redirect_is_an_answer_and_is_not_followed(internet, rules):
    internet.serve(redirect("https://127.0.0.1/"))

    found = post("https://files.test/", b"", {}, rules, QUICK)

    assert found.status == 302
    assert len(internet.dialled) == 1


def test_only_the_beginning_of_a_long_answer_is_read(internet, rules):
    server = internet.serve(drip(b"HTTP/1.1 500 No\r\n\r\n", b"a" * 100, lambda: server))

    found = post("https://files.test/", b"", {}, rules, QUICK, answer_bytes=250)

    assert (found.status, found.body) == (500, b"a" * 250)


def test_an_answer_that_breaks_off_after_its_head_is_one(internet, rules):
    internet.serve(answer(b"than", length=10))

    found = post("https://files.test/", b"", {}, rules, QUICK)

    assert (found.status, found.body) == (200, b"than")


def test_a_server_that_drips_its_head_is_cut_off_at_the_deadline(internet, rules):
    server = internet.serve(drip(b"HTTP/1.1 200 OK\r\nX: ", b"a", lambda: server))

    with pytest.raises(OutgoingFailed) as caught:
        post("https://files.test/", b"", {}, rules, replace(QUICK, total_s=0.3))

    assert caught.value.reason == "deadline"


def test_a_server_that_takes_nothing_is_cut_off_at_the_deadline(internet, rules):
    server = internet.serve(lambda *_: server.is_over.wait(30), is_tls=False, host="hook.lan")
    named = replace(rules, allowed=frozenset({("hook.lan", 443)}))
    much = b"x" * 50_000_000  # more than the buffers on the way hold

    with pytest.raises(OutgoingFailed) as caught:
        post("http://hook.lan:443/", much, {}, named, replace(QUICK, total_s=0.3))

    assert caught.value.reason in {"deadline", "idle_timeout"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "other.test"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"X y": "z"},
        {"": "z"},
        {"X": "y\r\nZ: z"},
        {"X": "y\n z"},
        {"X\r\nZ": "z"},
        {"X": "ü"},
    ],
)
def test_a_header_that_could_make_a_second_request_is_refused(internet, rules, headers):
    internet.serve(answer())

    with pytest.raises(AddressRefused) as caught:
        post("https://files.test/", b"", headers, rules, QUICK)

    assert caught.value.reason == "header_refused"
    assert internet.dialled == []


def test_a_private_address_is_refused(internet, rules):
    internet.names["files.test"] = [["10.0.0.1"]]

    with pytest.raises(AddressRefused) as caught:
        post("https://files.test/", b"", {}, rules, QUICK)

    assert caught.value.reason == "address_not_public"
