"""Plain Celery for `core`: one task that inserts one row. Read by `celery -A`."""

from typing import Any

from celery import Celery

from benchmarks.core_rows import insert_row
from celery_app import celery_config
from config import QUEUE_NORMAL, Settings, get_settings

TASK = "peer.insert_row"
DEFAULT_QUEUE = "celery"


def make_default(settings: Settings) -> Celery:
    """Celery as it comes: only the broker's address is set."""
    app = Celery("default", broker=settings.redis_url)
    app.task(name=TASK)(insert_row)
    return app


def make_alike(settings: Settings) -> Celery:
    """Celery with the settings of this project."""
    app = Celery("alike")
    app.conf.update(peer_config(settings))
    app.task(name=TASK)(insert_row)
    return app


def peer_config(settings: Settings) -> dict[str, Any]:
    """The project's settings without its tasks."""
    return {**celery_config(settings), "imports": ()}


def queue_of(app: Celery) -> str:
    """Where this one's messages go."""
    return DEFAULT_QUEUE if app.main == "default" else QUEUE_NORMAL


default = make_default(get_settings())
alike = make_alike(get_settings())
