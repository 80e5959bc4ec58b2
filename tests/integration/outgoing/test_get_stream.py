"""What is fetched from servers that mean well, and from servers that do not."""

import logging
import ssl
from dataclasses import replace

import pytest

from outgoing.errors import AddressRefused, OutgoingFailed
from outgoing.request import MAX_REDIRECTS, get_stream
from tests.integration.outgoing.conftest import PUBLIC, QUICK
from tests.peer import answer, drip, redirect

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def fetch(url, rules, limits=QUICK):
    with get_stream(url, rules, limits) as found:
        return found.status, b"".join(found.chunks())


def failure(url, rules, limits=QUICK):
    with pytest.raises(OutgoingFailed) as caught:
        fetch(url, rules, limits)
    return caught.value.reason


def refusal(url, rules):
    with pytest.raises(AddressRefused) as caught:
        fetch(url, rules)
    return caught.value.reason


def say(data):
    return lambda _, connection: connection.sendall(data)


def test_a_body_arrives_whole(internet, rules):
    content = bytes(range(256)) * 5000
    internet.serve(answer(content))

    assert fetch("https://files.test/talk.mp3", rules) == (200, content)


def test_the_server_sees_the_name_and_is_asked_not_to_compress(internet, rules):
    server = internet.serve(answer(b"x"), port=8443)

    fetch("https://files.test:8443/a/b?token=x", rules)

    (request,) = server.requests
    assert request.line == "GET /a/b?token=x HTTP/1.1"
    assert request.headers["host"] == "files.test:8443"
    assert request.headers["accept-encoding"] == "identity"


def test_a_chunked_body_arrives_whole(internet, rules):
    internet.serve(say(CHUNKED + b"5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n"))

    assert fetch("https://files.test/", rules) == (200, b"hello there")


def test_a_body_that_ends_with_the_connection_arrives(internet, rules):
    internet.serve(say(HEAD + b"\r\nhello"))

    assert fetch("https://files.test/", rules) == (200, b"hello")


def test_the_next_address_is_tried_when_one_does_not_answer(internet, rules):
    internet.serve(answer(b"x"))
    internet.names["files.test"] = [["93.184.216.99", PUBLIC]]

    assert fetch("https://files.test/", rules) == (200, b"x")
    assert internet.dialled == [("93.184.216.99", 443), (PUBLIC, 443)]


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["127.0.0.1"],
        ["::1"],
        ["169.254.169.254"],
        ["fe80::1%eth0"],
        ["0.0.0.0"],
        ["::ffff:127.0.0.1"],
        [PUBLIC, "127.0.0.1"],
        [PUBLIC, PUBLIC, "fd00:ec2::254"],
    ],
)
def test_a_name_with_an_address_that_is_not_public_is_refused(internet, rules, addresses):
    server = internet.serve(answer(b"secret"), address="127.0.0.1")
    internet.names["files.test"] = [addresses]

    assert refusal("https://files.test/", rules) == "address_not_public"
    assert internet.dialled == []
    assert server.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[fd00::1]"])
def test_an_address_that_is_not_public_is_refused_without_a_name(internet, rules, host):
    assert refusal(f"https://{host}/", rules) == "address_not_public"
    assert internet.dialled == []


def test_a_name_that_changes_after_the_check_leads_nowhere_else(internet, rules):
    inner = internet.serve(answer(b"secret"), address="127.0.0.1")
    internet.serve(answer(b"public"))
    internet.names["files.test"] = [[PUBLIC], ["127.0.0.1"]]

    found = fetch("https://files.test/", rules)

    assert found == (200, b"public")
    assert internet.asked == ["files.test"]
    assert internet.dialled == [(PUBLIC, 443)]
    assert inner.requests == []


def test_a_redirect_looks_the_name_up_anew_and_checks_it_anew(internet, rules):
    inner = internet.serve(answer(b"secret"), address="127.0.0.1")
    internet.serve(redirect("/again"))
    internet.names["files.test"] = [[PUBLIC], ["127.0.0.1"]]

    assert refusal("https://files.test/", rules) == "address_not_public"
    assert inner.requests == []


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("https://127.0.0.1/", "address_not_public"),
        ("https://169.254.169.254/latest/meta-data/", "address_not_public"),
        ("https://[::ffff:10.0.0.1]/", "address_not_public"),
        ("https://2130706433/", "host_refused"),
        ("https://localhost/", "host_refused"),
        ("http://files.test/", "scheme_refused"),
        ("file:///etc/passwd", "scheme_refused"),
        ("https://user:password@files.test/", "userinfo_refused"),
    ],
)
def test_a_redirect_out_of_bounds_is_refused(internet, rules, location, reason):
    internet.serve(redirect(location))

    assert refusal("https://files.test/", rules) == reason
    assert len(internet.dialled) == 1


def test_a_redirect_to_another_public_server_is_followed(internet, rules):
    internet.serve(redirect("https://other.test:8443/b"))
    internet.serve(answer(b"found"), host="other.test", address="93.184.216.35", port=8443)

    with get_stream("https://files.test/a", rules, QUICK) as found:
        content = b"".join(found.chunks())

    assert content == b"found"
    assert (found.origin, found.path) == ("https://other.test:8443", "/b")


def test_redirects_without_end_are_given_up(internet, rules):
    server = internet.serve(redirect("/again"))

    assert failure("https://files.test/", rules) == "too_many_redirects"
    assert len(server.requests) == MAX_REDIRECTS + 1


def test_a_certificate_for_another_name_is_refused(internet, rules):
    server = internet.serve(answer(b"x"), host="wrong.test")

    assert failure("https://wrong.test/", rules) == "certificate_invalid"
    assert server.requests == []


def test_a_certificate_of_an_authority_that_nobody_knows_is_refused(internet, rules):
    internet.serve(answer(b"x"))
    strict = replace(rules, make_tls=ssl.create_default_context)

    assert failure("https://files.test/", strict) == "certificate_invalid"


def test_a_server_without_tls_is_refused(internet, rules):
    internet.serve(answer(b"x"), is_tls=False)

    assert failure("https://files.test/", rules) == "tls_failed"


def test_a_host_that_was_named_may_be_private_and_speak_http(internet, rules):
    internet.serve(answer(b"x"), host="nas.lan", address="192.168.1.5", port=8080, is_tls=False)
    named = replace(rules, allowed=frozenset({("nas.lan", 8080)}))

    assert fetch("http://nas.lan:8080/", named) == (200, b"x")


def test_a_host_that_was_named_may_not_lead_to_a_metadata_service(internet, rules):
    internet.names["nas.lan"] = [["169.254.169.254"]]
    named = replace(rules, allowed=frozenset({("nas.lan", 8080)}))

    assert refusal("http://nas.lan:8080/", named) == "address_not_public"


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_not_used(internet, rules, monkeypatch, name):
    internet.serve(answer(b"x"))
    monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert fetch("https://files.test/", rules) == (200, b"x")


def test_a_name_without_addresses_is_not_found(internet, rules):
    assert failure("https://missing.test/", rules) == "name_not_found"


def test_a_name_that_cannot_be_looked_up_in_time_is_given_up(internet, rules):
    waiting = internet.serve(answer(b"x"))
    slow = replace(rules, resolve=lambda host, port: [str(waiting.is_over.wait(30))])

    assert failure("https://files.test/", slow, replace(QUICK, connect_s=0.05)) == "connect_timeout"


def test_a_server_that_refuses_connections_is_unreachable(internet, rules):
    internet.names["files.test"] = [[PUBLIC]]

    assert failure("https://files.test/", rules) == "connect_failed"


def test_a_server_that_says_nothing_is_given_up(internet, rules):
    server = internet.serve(lambda *_: server.is_over.wait(30))

    assert failure("https://files.test/", rules, replace(QUICK, idle_s=0.1)) == "idle_timeout"


def test_a_server_that_stops_in_the_middle_is_given_up(internet, rules):
    def stop(_, connection):
        connection.sendall(HEAD + b"Content-Length: 10\r\n\r\nhello")
        server.is_over.wait(30)

    server = internet.serve(stop)

    assert failure("https://files.test/", rules, replace(QUICK, idle_s=0.1)) == "idle_timeout"


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (HEAD + b"\r\n", b"a"),
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b"a"),
        (CHUNKED, b"1\r\na\r\n"),
        (CHUNKED + b"1", b"0"),
    ],
    ids=["header", "headers", "continue", "body", "announced", "chunks", "size"],
)
def test_a_server_that_drips_is_cut_off_at_the_deadline(internet, rules, first, again):
    server = internet.serve(drip(first, again, lambda: server))

    reason = failure("https://files.test/", rules, replace(QUICK, total_s=0.3))

    assert reason == "deadline"


def test_less_than_was_announced_is_no_recording(internet, rules):
    internet.serve(answer(b"hello", length=10))

    assert failure("https://files.test/", rules) == "connection_lost"


def test_a_chunked_body_that_breaks_off_is_no_recording(internet, rules):
    internet.serve(say(CHUNKED + b"5\r\nhello\r\n"))

    assert failure("https://files.test/", rules) == "connection_lost"


def test_more_than_was_announced_is_left_unread(internet, rules):
    internet.serve(answer(b"hello there", length=5))

    assert fetch("https://files.test/", rules) == (200, b"hello")


@pytest.mark.parametrize(
    "head", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"]
)
def test_what_is_no_http_is_told_apart(internet, rules, head):
    internet.serve(say(head))

    assert failure("https://files.test/", rules) == "protocol_error"


def test_endless_bodies_come_in_pieces_that_the_caller_can_stop_taking(internet, rules):
    server = internet.serve(drip(HEAD + b"\r\n", b"a" * 1000, lambda: server))

    with get_stream("https://files.test/", rules, QUICK) as found:
        sizes = [len(next(chunks)) for chunks in [found.chunks(500)] for _ in range(3)]

    assert all(0 < size <= 500 for size in sizes)


def test_a_malformed_head_does_not_bring_the_address_into_the_log(internet, rules, caplog):
    internet.serve(say(HEAD + b"Content-Length: 1\r\nnonsense\r\n\r\nx"))
    caplog.set_level(logging.DEBUG)

    fetch("https://files.test/?token=hunter2", rules)

    assert "hunter2" not in caplog.text


def test_no_failure_repeats_the_address(internet, rules):
    with pytest.raises(OutgoingFailed) as caught:
        fetch("https://missing.test/?token=hunter2", rules)

    assert "hunter2" not in str(caught.value)
    assert "missing" not in str(caught.value)
