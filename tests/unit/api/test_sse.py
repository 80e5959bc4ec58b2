from datetime import UTC, datetime

import pytest

from api.sse import format_event
from services.stream_event import StreamEvent


@pytest.mark.parametrize(
    ("event", "block"),
    [
        (
            StreamEvent("queued", {"position": 1}, "7.0"),
            'event: queued\ndata: {"position": 1}\nid: 7.0\n\n',
        ),
        (StreamEvent("cancelled"), "event: cancelled\ndata: {}\n\n"),
        (StreamEvent(comment="ping"), ": ping\n\n"),
        (StreamEvent(id="9-0", comment="ping"), ": ping\nid: 9-0\n\n"),
        (StreamEvent(id="9-0"), "id: 9-0\n\n"),
    ],
)
def test_an_event_is_one_block(event, block):
    assert format_event(event).decode() == block


def test_no_text_can_end_a_block_or_begin_a_field():
    text = "one\n\ndata: two\r\nid: 3\r"

    block = format_event(StreamEvent("segments", {"text": text}, "1.1")).decode()

    assert "\r" not in block
    assert [line.partition(":")[0] for line in block.splitlines()] == ["event", "data", "id", ""]


def test_times_are_iso_8601_and_letters_stay_as_they_are():
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)

    block = format_event(StreamEvent("started", {"at": at, "text": "Grüße 🎉"})).decode()

    assert '"2026-01-31T12:00:00+00:00"' in block
    assert "Grüße 🎉" in block
