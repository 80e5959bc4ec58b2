"""When a message that did not arrive is sent again."""

from datetime import timedelta

from services.webhooks.events import PROGRESS, TEST

# Short waits for a deployment or a full queue over there, long ones for a night without anybody.
DELAYS_S = (5, 30, 120, 600, 3_600, 3 * 3_600, 8 * 3_600, 24 * 3_600)
JITTER = 0.1  # at most added, as a share of the wait: many messages that failed together
SENT_ONCE = frozenset({PROGRESS, TEST})  # the next one says more; who tests looks himself


def next_delay(event: str, attempts: int, draw: float) -> timedelta | None:
    """How long to wait after the failure of attempt number `attempts` (from 1); None: give up.

    `draw` is a random number from 0 to 1.
    """
    if event in SENT_ONCE or attempts > len(DELAYS_S):
        return None
    return timedelta(seconds=round(DELAYS_S[attempts - 1] * (1 + JITTER * draw), 1))
