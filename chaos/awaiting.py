"""Wait for something on a server of which any part may be away."""

import time
from collections.abc import Callable
from typing import TypeVar

import psutil
import redis

from chaos.errors import ChaosFailed
from chaos.rows import AWAY

POLL_S = 0.05
PASSING = (*AWAY, redis.RedisError, psutil.NoSuchProcess)  # what a hurt server answers with

Answer = TypeVar("Answer")


def ask(look: Callable[[], Answer]) -> Answer | None:
    """What `look` returns; None when the part it asks is away."""
    try:
        return look()
    except PASSING:
        return None


def wait_for(look: Callable[[], Answer | None], timeout_s: float) -> Answer | None:
    """What `look` returns once it is true; None after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (answer := ask(look)):
        if time.monotonic() > deadline:
            return None
        time.sleep(POLL_S)
    return answer


def await_value(look: Callable[[], Answer | None], timeout_s: float, what: str) -> Answer:
    """What `look` returns once it is true. Raises ChaosFailed after `timeout_s`."""
    answer = wait_for(look, timeout_s)
    if answer is None:
        raise ChaosFailed(f"waited {timeout_s:.0f} s for {what}")
    return answer
