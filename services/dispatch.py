"""Ring the doorbell: tell Celery that a job waits. Losing a ring, or ringing twice, is harmless."""

import logging
from uuid import UUID

from config import QUEUE_DLQ, QUEUE_HIGH, QUEUE_NORMAL, QUEUE_RETRY, Settings
from domain.errors import BrokerUnavailable
from domain.lifecycle import Rank, rank_of
from services.broker import has_enough

logger = logging.getLogger(__name__)

QUEUE_OF_RANK = {
    Rank.HIGH: QUEUE_HIGH,
    Rank.NORMAL: QUEUE_NORMAL,
    Rank.RETRY: QUEUE_RETRY,
}
RANK_OF_QUEUE = {queue: rank for rank, queue in QUEUE_OF_RANK.items()}


def queue_for(priority: int, attempt: int) -> str:
    """The queue of a waiting job with `attempt` attempts behind it, by its rank."""
    return QUEUE_OF_RANK[rank_of(priority, attempt)]


def publish(settings: Settings, job_id: UUID, queue: str) -> None:
    """Ring for one job, by task name, unless the bell rings already. Raises BrokerUnavailable.

    Whoever takes a message works until nothing of its rank waits, or rings again. So a few
    messages are as good as one for each job, and the broker stays small.
    """
    from celery_app import TASK_TRANSCRIBE

    try:
        if has_enough(settings, queue):
            return
    except _broker_errors() as error:
        raise BrokerUnavailable("the message broker does not answer") from error
    _send(TASK_TRANSCRIBE, job_id, queue)


def publish_dead_letter(job_id: UUID) -> None:
    """Leave a note on the dead-letter queue, which nobody has to consume.

    The truth is the error_logs row, so a broker that is away costs nothing but a log line.
    """
    from celery_app import TASK_DLQ

    try:
        _send(TASK_DLQ, job_id, QUEUE_DLQ)
    except BrokerUnavailable:
        logger.warning("dead_letter_not_published", extra={"job_id": str(job_id)})


def _send(task: str, job_id: UUID, queue: str) -> None:
    from celery_app import celery_app

    try:
        # With `queue=` alone kombu uses the anonymous exchange, which survives a FLUSHALL.
        celery_app.send_task(task, args=[str(job_id)], queue=queue)
    except _broker_errors() as error:
        raise BrokerUnavailable("the message broker does not answer") from error


def _broker_errors() -> tuple[type[BaseException], ...]:
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    return (OperationalError, RedisError, OSError)
