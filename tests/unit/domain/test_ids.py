from uuid import RFC_4122

from domain import ids
from domain.ids import new_id


def test_an_id_is_a_uuid_of_version_7():
    found = new_id()

    assert (found.version, found.variant) == (7, RFC_4122)


def test_an_id_holds_its_moment_in_milliseconds(monkeypatch):
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_700_000_000_123_456_789)

    assert new_id().int >> 80 == 1_700_000_000_123


def test_ids_of_later_moments_are_greater(monkeypatch):
    moments = iter(range(0, 50_000_000, 1_000_000))
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(moments))

    found = [new_id() for _ in range(50)]

    assert found == sorted(found)


def test_ids_of_one_moment_differ(monkeypatch):
    monkeypatch.setattr(ids.time, "time_ns", lambda: 0)

    assert len({new_id() for _ in range(1000)}) == 1000


def test_all_bits_but_the_fixed_ones_are_used(monkeypatch):
    monkeypatch.setattr(ids.time, "time_ns", lambda: 0)
    seen_0 = seen_1 = 0
    for _ in range(200):
        value = new_id().int
        seen_1 |= value
        seen_0 |= ~value

    random = (((1 << 12) - 1) << 64) | ((1 << 62) - 1)
    assert seen_1 & random == random
    assert seen_0 & random == random
