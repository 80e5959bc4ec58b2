"""When a message that did not arrive is sent again."""

import pytest

from services.webhooks.events import EVENTS, PROGRESS, TEST
from services.webhooks.schedule import DELAYS_S, next_delay


def waits(event, draw):
    """All waits of a message that never arrives, in seconds."""
    found = []
    while (delay := next_delay(event, len(found) + 1, draw)) is not None:
        found.append(delay.total_seconds())
    return found


@pytest.mark.parametrize("event", [event for event in EVENTS if event != PROGRESS])
def test_waits_grow_from_seconds_to_a_day(event):
    found = waits(event, draw=0)

    assert found == [5, 30, 120, 600, 3600, 10_800, 28_800, 86_400]


def test_a_message_is_tried_for_more_than_a_day_and_a_half():
    assert sum(waits("completed", draw=0)) > 36 * 3600


def test_what_failed_together_does_not_come_back_together():
    earliest, latest = waits("completed", draw=0), waits("completed", draw=1)

    assert all(a < b <= 1.1 * a + 0.1 for a, b in zip(earliest, latest, strict=True))


@pytest.mark.parametrize("event", [PROGRESS, TEST])
def test_news_that_grow_old_are_sent_once(event):
    assert waits(event, draw=0) == []


def test_no_wait_is_left_after_the_last():
    assert next_delay("completed", len(DELAYS_S) + 1, 0.5) is None
