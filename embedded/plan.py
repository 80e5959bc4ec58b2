"""What `make up` runs beside the two stores: one command line per process."""

import sys
from collections.abc import Mapping

from config import QUEUE_HIGH, Settings
from embedded.server_file import is_healthy
from embedded.service import Service

MIGRATION_TIMEOUT_S = 600.0
WEIGHTS_TIMEOUT_S = 7200.0  # large-v3 is 2.9 GB
WEB_START_TIMEOUT_S = 120.0
WEB_GRACE_S = 70.0  # graceful_timeout of deploy/gunicorn.conf.py, and a little
WORKER_EXTRA_S = 15.0  # for the worker to leave after SHUTDOWN_GRACE_S of waiting for jobs
LAUNCHER = "scriptorium"
WORKER = "worker"
HIGH_ONLY_WORKER = "worker-high"


def names(settings: Settings) -> tuple[str, ...]:
    """The launcher and all that it may run, as they stand before the lines of each."""
    workers = worker_names(settings)
    return (LAUNCHER, "postgres", "valkey", "weights", "migrate", "web", "reconciler", *workers,
            "flower")  # fmt: skip


def worker_names(settings: Settings) -> tuple[str, ...]:
    """The workers that are started: one `worker` or numbered ones, and that of the urgent jobs."""
    numbers = range(1, settings.workers + 1)
    usual = [f"{WORKER}-{number}" for number in numbers] if settings.workers > 1 else [WORKER]
    return (*usual, *([HIGH_ONLY_WORKER] if settings.high_only_slots else []))


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


def workers(settings: Settings, environment: Mapping[str, str]) -> list[Service]:
    """The Celery workers with their prefork children."""
    return [_worker(name, settings, environment) for name in worker_names(settings)]


def _worker(name: str, settings: Settings, environment: Mapping[str, str]) -> Service:
    # Two Celery workers of one name on one host would be one to Flower and to remote control.
    options = () if name == WORKER else ("--name", name)
    if name == HIGH_ONLY_WORKER:
        options = (
            *options, "--queues", QUEUE_HIGH, "--concurrency", str(settings.high_only_slots)
        )  # fmt: skip
    return Service(
        name=name,
        argv=(sys.executable, "worker.py", "worker", *options),
        environment=environment,
        stop_group=WORKER,
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
