"""Without Valkey each process counts on its own, and looks for it again after a while."""

import pytest

from services.request_rate import AWAY_S, RequestRate

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def alone(clock):
    return RequestRate(NOBODY_LISTENS, clock)


def test_requests_are_limited_while_valkey_is_away(alone):
    rates = [alone.count("acme", 2) for _ in range(3)]

    assert [rate.is_within for rate in rates] == [True, True, False]
    assert [rate.remaining for rate in rates] == [1, 0, 0]
    assert 1 <= rates[-1].reset_s <= 60


def test_tenants_do_not_use_up_each_others_requests(alone):
    alone.count("acme", 1)

    assert alone.count("other", 1).is_within


def test_an_outage_is_logged_once(alone, clock, caplog):
    for _ in range(3):
        alone.count("acme", 10)
        clock.now += AWAY_S

    said = [record.message for record in caplog.records]

    assert said == ["requests_counted_alone"]


def test_valkey_is_not_asked_for_a_while_after_a_failure(alone, clock, monkeypatch):
    asked = []
    monkeypatch.setattr(alone, "_note_away", _count(asked, alone._note_away))

    alone.count("acme", 10)
    alone.count("acme", 10)
    clock.now += AWAY_S
    alone.count("acme", 10)

    assert len(asked) == 2


def _count(calls, act):
    def call(error):
        calls.append(error)
        act(error)

    return call


@pytest.mark.parametrize(
    "address", ["unix:///nowhere/valkey.sock?db=1", "rediss://:word@127.0.0.1:1/0"]
)
def test_every_kind_of_address_of_the_settings_is_understood(address):
    rate = RequestRate(address)

    assert rate.count("acme", 1).is_within
    assert not rate.count("acme", 1).is_within
