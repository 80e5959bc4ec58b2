import secrets

import pytest

from domain.exposure import is_guessable, is_loopback


@pytest.mark.parametrize(
    "secret",
    [
        "changemechangeme",
        "change-me-please-1234",
        "CHANGE_ME_CHANGE_ME",
        "changeme12345678",
        "your-secret-admin-key",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "abcabcabcabcabcabc",
        "1111111122222222",
        "1234567890123456",
        "passwordpassword",
        "replace-this-value",
    ],
)
def test_what_people_leave_in_a_configuration_can_be_guessed(secret):
    assert is_guessable(secret)


@pytest.mark.parametrize(
    "secret",
    [
        "0f3a77c1d0b94e52",
        "a-key-of-my-own-1234",
        "correct horse battery staple",
        "tr0ub4dor&3-xkcd",
    ],
)
def test_a_secret_of_somebodys_own_cannot(secret):
    assert not is_guessable(secret)


def test_what_openssl_rand_draws_cannot_be_guessed():
    drawn = [secrets.token_hex(24) for _ in range(1000)]

    assert not any(map(is_guessable, drawn))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LocalHost"]
)
def test_this_machine_is_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "", "10.0.0.1", "localhost.example.com", "127.0.0.1.nip.io", "example"],
)
def test_what_others_can_reach_is_not(host):
    assert not is_loopback(host)
