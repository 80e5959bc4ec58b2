"""What is read in an address, and what is refused before any name is looked up."""

import pytest

from outgoing.errors import AddressRefused
from outgoing.targets import MAX_URL_CHARS, check_url, follow

ALLOWED = frozenset({("nas.lan", 8080), ("localhost", 9000), ("10.0.0.5", 80), ("fd00::5", 443)})


def refusal(url, allowed=frozenset()):
    with pytest.raises(AddressRefused) as caught:
        check_url(url, allowed)
    return caught.value.reason


def test_an_address_is_taken_apart():
    target = check_url("HTTPS://Files.Example.org/a/talk.mp3?token=x#part")

    assert (target.scheme, target.host, target.port) == ("https", "files.example.org", 443)
    assert target.path == "/a/talk.mp3?token=x"
    assert target.authority == "files.example.org"
    assert target.origin == "https://files.example.org"


def test_any_port_is_fine():
    target = check_url("https://example.org:8443")

    assert (target.port, target.path) == (8443, "/")
    assert target.authority == "example.org:8443"


def test_an_international_name_is_looked_up_in_its_ascii_form():
    assert check_url("https://bücher.example/a").host == "xn--bcher-kva.example"


def test_an_ipv6_address_keeps_its_brackets_in_the_header():
    target = check_url("https://[2606:4700:4700::1111]:8443/a")

    assert target.host == "2606:4700:4700::1111"
    assert target.authority == "[2606:4700:4700::1111]:8443"


@pytest.mark.parametrize(
    "url",
    ["http://example.org/a", "ftp://example.org/a", "file:///etc/passwd", "gopher://x/", "//x/y"],
)
def test_only_https_is_spoken_to_strangers(url):
    assert refusal(url) == "scheme_refused"


@pytest.mark.parametrize("url", ["example.org/a", "javascript:alert(1)", "", "https:/example.org"])
def test_what_has_no_scheme_is_refused(url):
    assert refusal(url) == "scheme_refused"


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https:///a",
        "https://:443/a",
        "https://example.org:99999/",
        "https://example.org:0/",
        "https://example.org:x/",
        "https://exa mple.org/",
        "https://example.org/a b",
        "https://example.org/a\r\nX: y",
        "https://exam\tple.org/",
        "https://example.org\\@10.0.0.1/",
        "https://example.org/\x00",
        "https://[::1",
        "https://example.org/" + "a" * MAX_URL_CHARS,
    ],
)
def test_what_two_readers_may_take_differently_is_refused(url):
    assert refusal(url) == "url_invalid"


@pytest.mark.parametrize(
    "url",
    ["https://user@example.org/", "https://user:password@example.org/", "https://@example.org/"],
)
def test_a_user_in_the_address_is_refused(url):
    assert refusal(url) == "userinfo_refused"


def test_an_at_sign_in_the_path_is_no_user():
    assert check_url("https://example.org/@user").host == "example.org"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "app.localhost",
        "example.org.",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0X7F.0.0.1",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "256.0.0.1",
        "example.0x10",
        "example.1",
        "-a.example",
        "a-.example",
        "a..example",
        "[fe80::1%25eth0]",
        "[::ffff:127.0.0.1%25lo]",
        f"{'a' * 64}.example",
        ".".join(["a" * 60] * 5),
    ],
)
def test_a_host_in_an_odd_spelling_is_refused(host):
    assert refusal(f"https://{host}/") in {"host_refused", "url_invalid"}


@pytest.mark.parametrize("host", ["①②⑦.⓪.⓪.①", "\uff11\uff12\uff17.0.0.1", "ⓛocalhost"])
def test_letters_that_only_look_like_an_address_are_refused(host):
    assert refusal(f"https://{host}/") in {"host_refused", "url_invalid"}


@pytest.mark.parametrize(
    "url",
    [
        "http://nas.lan:8080/a",
        "https://nas.lan:8080/a",
        "http://localhost:9000/",
        "http://10.0.0.5/",
        "https://[fd00::5]/",
    ],
)
def test_a_host_that_was_named_is_accepted_with_its_port(url):
    assert check_url(url, ALLOWED).is_named


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://nas.lan/a", "scheme_refused"),
        ("http://nas.lan:8081/a", "scheme_refused"),
        ("https://localhost/", "host_refused"),
        ("http://user@nas.lan:8080/a", "userinfo_refused"),
        ("http://nas.lan.:8080/a", "host_refused"),
    ],
)
def test_only_that_port_of_it_is_and_the_other_rules_hold(url, reason):
    assert refusal(url, ALLOWED) == reason


def test_a_redirect_may_be_relative():
    target = follow(check_url("https://example.org/a/b?c"), "../d?e", frozenset())

    assert (target.host, target.path) == ("example.org", "/d?e")


def test_a_redirect_may_name_its_path_in_raw_utf_8():
    location = "/Gespräch 1.mp3".encode().decode("latin-1")  # as http.client reads it

    target = follow(check_url("https://example.org/"), location, frozenset())

    assert target.path == "/Gespr%C3%A4ch%201.mp3"


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://nas.lan:8080/", "redirect_refused"),
        ("http://example.org/", "scheme_refused"),
        ("https://user@example.org/", "userinfo_refused"),
        ("https://localhost/", "host_refused"),
        ("//2130706433/", "host_refused"),
        ("https://[::1/", "url_invalid"),
        ("file:///etc/passwd", "scheme_refused"),
    ],
)
def test_a_redirect_is_held_to_the_same_rules(location, reason):
    start = check_url("https://example.org/")

    with pytest.raises(AddressRefused) as caught:
        follow(start, location, ALLOWED)

    assert caught.value.reason == reason


def test_no_message_repeats_the_address():
    secret = "https://user:hunter2@example.org/?token=hunter2"

    with pytest.raises(AddressRefused) as caught:
        check_url(secret)

    assert "hunter2" not in str(caught.value)
    assert "example" not in str(caught.value)
