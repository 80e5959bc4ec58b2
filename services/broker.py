"""Look at the message broker itself: whether it is there, and how deep its queues are."""

import os
from functools import lru_cache

from redis import Redis
from redis.exceptions import RedisError

from config import CONSUMED_QUEUES, QUEUE_DLQ, Settings

TIMEOUT_S = 2.0
ENOUGH_MESSAGES = 32  # more than the children of a machine that could be idle at one moment


def is_broker_up(settings: Settings) -> bool:
    """Say whether Valkey or Redis answers."""
    try:
        with _connect(settings) as broker:
            return bool(broker.ping())
    except RedisError:
        return False


def queue_depths(settings: Settings) -> dict[str, int] | None:
    """Messages that wait in each queue; None when the broker does not answer."""
    try:
        with _connect(settings) as broker:
            return {queue: int(broker.llen(queue)) for queue in (*CONSUMED_QUEUES, QUEUE_DLQ)}
    except RedisError:
        return None


def has_enough(settings: Settings, queue: str) -> bool:
    """Whether so many messages wait in a queue that one more would change nothing.

    Raises RedisError when the broker does not answer.
    """
    return int(_kept(settings, os.getpid()).llen(queue)) >= ENOUGH_MESSAGES


@lru_cache(maxsize=1)
def _kept(settings: Settings, pid: int) -> Redis:
    """A connection for every submission's question; a forked child makes its own."""
    del pid
    return _connect(settings)


def _connect(settings: Settings) -> Redis:
    return Redis.from_url(
        settings.redis_url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S
    )
