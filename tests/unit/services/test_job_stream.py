"""What becomes of news, without a database."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain.errors import OptionInvalid
from services.client_stream import Position
from services.event_feed import JobNews, KeptSegments, ResultNews, Transition
from services.job_stream import JobCursor, JobStream

JOB = UUID(int=1)
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
STATUS_AFTER = {"submitted": "pending", "completed": "completed", "cancelled": "cancelled"}


def lines(*events, first=1):
    return [
        Transition(number, event, STATUS_AFTER.get(event, "processing"), 1, "host:1/2", {}, AT)
        for number, event in enumerate(events, start=first)
    ]


def spoken(first, count):
    return [{"id": n, "start": n, "end": n + 1, "text": "x"} for n in range(first, first + count)]


def news(*transitions, status="processing", windows=(), result=None, **changed):
    fields = {
        "attempt": 1,
        "progress": 0.0,
        "current_step": "transcribing",
        "time_left_s": None,
        "is_in_line": False,
        "completed_at": None,
        **changed,
    }
    return JobNews(status=status, transitions=transitions, windows=windows, result=result, **fields)


def result(first, count):
    return ResultNews(9.0, "base", "en", 3, first + count, first, spoken(first, count))


def told(events):
    return [event.name for event in events]


@pytest.mark.parametrize("text", ["0.0", "17.3", "999999999999999999.999999999"])
def test_a_cursor_survives_its_text(text):
    assert str(JobCursor.parse(text)) == text


@pytest.mark.parametrize("text", ["0-0", "17-3"])
def test_a_position_survives_its_text(text):
    assert str(Position.parse(text)) == text


@pytest.mark.parametrize("text", ["1", "a.b", "1.-1", "1.1\n", " 1.1", "1.\u0661"])
def test_other_texts_are_no_cursor(text):
    with pytest.raises(OptionInvalid):
        JobCursor.parse(text)


def test_no_text_is_the_beginning():
    assert JobCursor.parse("") == JobCursor(0, 0)


def test_every_event_has_the_id_of_all_that_was_said_by_then():
    stream = JobStream(JOB, JobCursor())

    events = stream.take(
        news(*lines("submitted", "started"), windows=[KeptSegments(0, spoken(0, 2))]), {}
    )

    assert [(event.name, event.id) for event in events] == [
        ("queued", "1.0"),
        ("started", "2.0"),
        ("segments", "2.2"),
        ("progress", "2.2"),
    ]


def test_the_same_news_are_told_once():
    stream = JobStream(JOB, JobCursor())
    same = news(*lines("submitted", "started"), windows=[KeptSegments(0, spoken(0, 2))])
    stream.take(same, {})

    assert stream.take(same, {}) == []


def test_segments_that_the_reader_has_are_skipped_even_within_a_window():
    stream = JobStream(JOB, JobCursor(2, 3))
    windows = [KeptSegments(0, spoken(0, 2)), KeptSegments(1, spoken(2, 2))]

    events = stream.take(news(windows=windows), {})

    assert [s["id"] for s in events[0].data["segments"]] == [3]


def test_windows_that_somebody_else_still_needs_are_not_told_again():
    stream = JobStream(JOB, JobCursor())
    first = KeptSegments(0, spoken(0, 2))
    stream.take(news(windows=[first]), {})

    events = stream.take(news(windows=[first, KeptSegments(1, spoken(2, 1))]), {})

    assert [s["id"] for s in events[0].data["segments"]] == [2]


def test_notes_behind_the_end_are_told_before_the_stream_ends():
    stream = JobStream(JOB, JobCursor())
    history = lines("submitted", "started", "completed", "recording_removed")

    events = stream.take(news(*history, status="completed", result=result(0, 1)), {})

    assert told(events) == ["queued", "started", "segments", "completed", "recording_removed"]
    assert stream.is_over


@pytest.mark.parametrize("left", [(), lines("recording_removed", first=9)])
def test_the_end_is_told_also_when_the_history_is_no_longer_kept(left):
    stream = JobStream(JOB, JobCursor())
    finished = news(*left, status="completed", result=result(0, 1), completed_at=AT)

    events = stream.take(finished, {})
    again = JobStream(JOB, JobCursor.parse(events[-1].id))

    assert told(events) == ["segments", "completed", *(line.event for line in left)]
    assert (again.take(finished, {}), again.is_over) == ([], True)


def test_a_result_that_begins_earlier_for_somebody_else_is_cut():
    stream = JobStream(JOB, JobCursor(2, 5))

    events = stream.take(
        news(*lines("completed", first=3), status="completed", result=result(3, 4)), {}
    )

    assert [s["id"] for s in events[0].data["segments"]] == [5, 6]
    assert [event.id for event in events] == ["2.7", "3.7"]


def test_a_dead_letter_is_announced_under_the_id_before_it():
    stream = JobStream(JOB, JobCursor(2, 0))

    events = stream.take(news(*lines("dead_lettered", first=3), status="failed"), {})

    assert [(event.name, event.id) for event in events] == [
        ("failed", "2.0"),
        ("dead_lettered", "3.0"),
    ]


def test_a_place_is_told_once_and_when_it_changes():
    stream = JobStream(JOB, JobCursor())
    waiting = news(*lines("submitted"), status="pending", is_in_line=True)

    places = [stream.take(waiting, {JOB: place}) for place in (3, 3, 2)]

    assert [[event.data["position"] for event in events] for events in places] == [[3], [], [2]]


def test_a_job_that_is_gone_ends_the_stream():
    stream = JobStream(JOB, JobCursor())

    assert stream.take(None, {}) == []
    assert stream.is_over
