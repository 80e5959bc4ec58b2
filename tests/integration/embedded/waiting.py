import time

import pytest

PAUSE_S = 0.02


def wait_until(condition, *, timeout_s=20.0):
    """Return the first true value of `condition`; fail the test after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(PAUSE_S)
    pytest.fail(f"not true within {timeout_s} s")
