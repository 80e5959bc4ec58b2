from uuid import UUID

import pytest

from services.event_feed import Wanted
from services.event_hub import MAX_WAITING, Listener, merge
from services.stream_event import StreamEvent

JOB, OTHER = UUID(int=1), UUID(int=2)


class FakeConnection:
    def __init__(self):
        self.cuts = 0
        self.has_left = False

    def is_gone(self):
        return self.has_left

    def cut(self):
        self.cuts += 1


@pytest.fixture
def connection():
    return FakeConnection()


@pytest.fixture
def listener(connection):
    return Listener(connection)


def some(count):
    return [StreamEvent("progress", {"number": number}) for number in range(count)]


def test_events_wait_in_order_until_they_are_read(listener):
    listener.put(lambda: some(2))
    listener.put(lambda: some(1))
    listener.end()

    events, is_over = listener.wait(0)

    assert (events, is_over) == ([*some(2), *some(1)], True)


def test_a_reader_that_does_not_read_is_cut_off_and_keeps_what_it_had(listener, connection):
    listener.put(lambda: some(MAX_WAITING))

    listener.put(lambda: some(1))
    listener.put(lambda: some(1))

    assert connection.cuts == 1
    assert listener.wait(0) == (some(MAX_WAITING), True)


def test_one_large_piece_of_news_is_no_reason_to_be_cut_off(listener, connection):
    listener.put(lambda: some(10 * MAX_WAITING))

    assert connection.cuts == 0
    assert len(listener.wait(0)[0]) == 10 * MAX_WAITING


def test_a_connection_that_is_used_for_something_else_is_not_cut(listener, connection):
    listener.put(lambda: some(MAX_WAITING))
    listener.release()

    listener.put(lambda: some(1))
    listener.cut()

    assert connection.cuts == 0


def test_a_reader_that_left_ends_its_stream(listener, connection):
    listener.end_if_gone()
    before = listener.wait(0)
    connection.has_left = True
    listener.end_if_gone()

    assert (before, listener.wait(0)) == (([], False), ([], True))


def test_wishes_for_one_job_become_one_that_covers_all():
    wishes = [
        Wanted(JOB, event_id=5, window=2, segments=20),
        Wanted(OTHER, event_id=1, window=1, segments=1),
        Wanted(JOB, event_id=7, window=0, segments=30),
    ]

    assert merge(wishes) == [
        Wanted(JOB, event_id=5, window=0, segments=20),
        Wanted(OTHER, event_id=1, window=1, segments=1),
    ]
