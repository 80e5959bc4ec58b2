"""Look at the message broker itself: whether it is there, and how deep its queues are."""

from redis import Redis
from redis.exceptions import RedisError

from config import CONSUMED_QUEUES, QUEUE_DLQ, Settings

TIMEOUT_S = 2.0


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


def _connect(settings: Settings) -> Redis:
    return Redis.from_url(
        settings.redis_url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S
    )
