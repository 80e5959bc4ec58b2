"""The Celery object: queues, transport options, limits. Celery is the doorbell, not the truth.

Messages are acknowledged early and carry a job id alone: what makes a job safe is its row
and its lease in Postgres. Late acknowledgement would make Redis deliver every job that is
longer than the visibility timeout again and again.
"""

from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu import Queue

from config import CONSUMED_QUEUES, QUEUE_DLQ, QUEUE_NORMAL, Settings, get_settings

TASK_TRANSCRIBE = "tasks.transcribe_audio_task"
TASK_DLQ = "tasks.dlq_handler_task"


def celery_config(settings: Settings) -> dict[str, Any]:
    """Celery's settings, each chosen for a measured reason: see docs/decisions/."""
    return {
        "broker_url": settings.redis_url,
        "result_backend": None,
        "task_ignore_result": True,
        "task_queues": [Queue(name) for name in (*CONSUMED_QUEUES, QUEUE_DLQ)],
        "task_default_queue": QUEUE_NORMAL,
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "broker_transport_options": {
            "queue_order_strategy": "priority",  # the order of -Q is the priority
            "priority_steps": [0],  # message priorities would outrank the order of queues
            "visibility_timeout": settings.visibility_timeout_s,
            "socket_timeout": 30,  # seconds; longer than the blocking pop
            "socket_connect_timeout": 2,  # seconds: a submission must not wait for a dead broker
            "socket_keepalive": True,
            "health_check_interval": 25,  # seconds
        },
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # for ever
        "task_publish_retry": False,  # the dispatch sweep is the retry
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,  # nothing is hoarded, so the order stays strict
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_proc_alive_timeout": 120,  # seconds; replacements import torch on a busy machine
        "worker_max_tasks_per_child": settings.worker_max_tasks_per_child,
        "worker_concurrency": settings.celery_worker_concurrency,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": True,  # Flower
        "task_send_sent_event": False,  # half the price of a ring; the row says when it was sent
        "imports": ("tasks",),  # read by a worker only: the web sends by name
    }


def make_celery(read_settings: Callable[[], Settings]) -> Celery:
    """A Celery application. It reads the settings on first use and opens no connection."""
    app = Celery("scriptorium")
    app.add_defaults(lambda: celery_config(read_settings()))
    return app


celery_app = make_celery(get_settings)
