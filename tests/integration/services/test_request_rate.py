"""Requests are counted on a real Valkey, and without it."""

import secrets

import pytest

from embedded.stack import locked, start_valkey
from services.request_rate import AWAY_S, RequestRate


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def tenant():
    return f"tenant-{secrets.token_hex(4)}"  # Valkey remembers those of other tests


def test_processes_count_together(redis_url, tenant):
    one, other = RequestRate(redis_url), RequestRate(redis_url)

    rates = [rate.count(tenant, 3) for rate in (one, other, one, other)]

    assert [rate.is_within for rate in rates] == [True, True, True, False]
    assert [rate.remaining for rate in rates] == [2, 1, 0, 0]
    assert 1 <= rates[-1].reset_s <= 60
    assert [one.is_alone, other.is_alone] == [False, False]


def test_a_request_that_was_refused_is_not_counted(redis_url, tenant):
    rate = RequestRate(redis_url)
    for _ in range(5):
        rate.count(tenant, 1)

    assert not rate.count(tenant, 1).is_within
    assert rate.count(tenant, 2).is_within  # a limit that was raised begins anew


def test_requests_are_limited_through_a_stop_of_valkey(tmp_path, tenant, caplog):
    clock = Clock()
    caplog.set_level("INFO")
    with locked(tmp_path):
        with start_valkey(tmp_path) as server:
            rate = RequestRate(server.url, clock)
            with_valkey = rate.count(tenant, 2)
        without = [rate.count(tenant, 2) for _ in range(3)]
        clock.now += AWAY_S
        still_without = rate.count(tenant, 2)
        with start_valkey(tmp_path) as again:
            assert again.url == server.url
            clock.now += AWAY_S
            back = rate.count(f"{tenant}-2", 2)

    assert with_valkey.remaining == 1
    assert [one.is_within for one in without] == [True, True, False]
    assert not still_without.is_within
    assert back.is_within
    assert not rate.is_alone
    said = [record.message for record in caplog.records if record.name == "services.request_rate"]
    assert said == ["requests_counted_alone", "requests_counted_together"]
