"""What `make up` runs beside the two stores: one command line per process."""

import sys
from collections.abc import Mapping

from config import Settings
from embedded.server_file import is_healthy
from embedded.service import Service

MIGRATION_TIMEOUT_S = 600.0
WEIGHTS_TIMEOUT_S = 7200.0  # large-v3 is 2.9 GB
WEB_START_TIMEOUT_S = 120.0
WEB_GRACE_S = 70.0  # graceful_timeout of deploy/gunicorn.conf.py, and a little
WORKER_EXTRA_S = 15.0  # for the worker to leave after SHUTDOWN_GRACE_S of waiting for jobs
NAMES = ("scriptorium", "postgres", "valkey", "weights", "migrate", "web", "reconciler", "worker",
         "flower")  # fmt: skip


def migration(environment: Mapping[str, str]) -> Service:
    """The step that brings the schema to its newest version."""
    return Service(
        name="migrate",
        argv=(sys.executable, "-m", "alembic", "upgrade", "head"),
        environment=environment,
        start_timeout_s=MIGRATION_TIMEOUT_S,
    )


def weights(model_size: str, environment: Mapping[str, str]) -> Service:
    """The step that fetches a model's weights unless they are there."""
    return Service(
        name="weights",
        argv=(sys.executable, "-m", "scripts.models", "ensure", model_size),
        environment=environment,
        start_timeout_s=WEIGHTS_TIMEOUT_S,
    )


def web(url: str, environment: Mapping[str, str]) -> Service:
    """The API behind gunicorn, which is to answer at `url`."""
    return Service(
        name="web",
        argv=(
            sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "app:create_app()",
        ),
        environment=environment,
        is_ready=lambda: is_healthy(url),
        start_timeout_s=WEB_START_TIMEOUT_S,
        stop_timeout_s=WEB_GRACE_S,
    )  # fmt: skip


def reconciler(environment: Mapping[str, str]) -> Service:
    """The sweeps: publish what waits, reap what was lost."""
    return Service(
        name="reconciler",
        argv=(sys.executable, "worker.py", "reconciler"),
        environment=environment,
        stop_timeout_s=15.0,
    )


def worker(settings: Settings, environment: Mapping[str, str]) -> Service:
    """The Celery worker with its prefork children."""
    return Service(
        name="worker",
        argv=(sys.executable, "worker.py", "worker"),
        environment=environment,
        stop_timeout_s=settings.shutdown_grace_s + WORKER_EXTRA_S,
        # Its death signal is KILL: a cold shutdown waits for the broker, which dies with it.
    )


def flower(port: int, environment: Mapping[str, str]) -> Service:
    """Flower on loopback. Its password stands in FLOWER_BASIC_AUTH, never on the command line."""
    return Service(
        name="flower",
        argv=(
            sys.executable, "-m", "celery", "-A", "celery_app", "flower",
            "--address=127.0.0.1", f"--port={port}",
        ),
        environment=environment,
    )  # fmt: skip
