"""Command line of the worker: `python worker.py worker` and `python worker.py reconciler`.

The worker is Celery's prefork pool with our queues in our order; the reconciler keeps the
time. Both stop on SIGTERM and SIGINT: the worker's children hand their jobs back after the
window they are in.
"""

import logging
import signal
import warnings
from types import FrameType

import click
from celery.signals import setup_logging, worker_process_init, worker_shutting_down

from celery_app import celery_app
from config import Settings, bound_openmp_spinning, get_settings
from domain.errors import ConfigurationError
from services.drain import DRAIN
from services.log_context import configure_logging

logger = logging.getLogger(__name__)


@click.group()
def main() -> None:
    """Transcribe (worker) and keep the time (reconciler)."""
    try:
        settings = get_settings()
    except ConfigurationError as error:
        raise click.ClickException(f"cannot start: {error}") from error
    configure_logging(settings.log_level, settings.log_format)


@main.command("worker")
@click.option("--concurrency", "-c", type=int, help="Prefork children; CELERY_CONCURRENCY.")
@click.option("--queues", "-Q", help="Comma-separated, first served first; WORKER_QUEUES.")
def run_worker(concurrency: int | None, queues: str | None) -> None:
    """Consume the queues in strict order: high, normal, retry."""
    settings = get_settings()
    bound_openmp_spinning()
    preload_engine(settings)
    consumed = queues.split(",") if queues else list(settings.queues)
    slots = concurrency or settings.celery_worker_concurrency
    # The warning is about pickled messages from strangers; ours are JSON, and nothing else is read.
    warnings.filterwarnings("ignore", message=".*superuser privileges", module="celery.platforms")
    logger.info("worker_starts", extra={"queues": ",".join(consumed), "concurrency": slots})
    celery_app.worker_main(
        [
            "--quiet",  # without Celery's banner
            "worker",
            "--pool=prefork",
            f"--concurrency={slots}",
            f"--queues={','.join(consumed)}",
            "--without-mingle",
            "--without-gossip",
            f"--loglevel={settings.log_level}",
        ]
    )


@main.command("reconciler")
def run_reconciler() -> None:
    """Dispatch what waits, take back what was abandoned, remove what has expired."""
    from services.context import build_services
    from services.reconciler import Reconciler

    reconciler = Reconciler(build_services(get_settings()))

    def stop(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        reconciler.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    reconciler.run()


def preload_engine(settings: Settings) -> None:
    """Import the engine before the fork, so that the children share its pages.

    Only an import: any tensor arithmetic or CUDA call here would hang or break the children.
    """
    from engines.registry import get_loader

    get_loader(settings.whisper_engine, settings)


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    settings = get_settings()
    configure_logging(settings.log_level, settings.log_format)


@worker_process_init.connect
def _start_child(**_: object) -> None:
    from services.worker_process import start_child

    start_child()


@worker_shutting_down.connect
def _hand_jobs_back(**_: object) -> None:
    DRAIN.raise_flag()


if __name__ == "__main__":
    main()
