"""Command line of the worker: `python worker.py worker`, `reconciler`, `model-host` and `probe`.

The worker is Celery's prefork pool with our queues in our order; the reconciler keeps the
time. Both stop on SIGTERM and SIGINT: the worker's children hand their jobs back after the
window they are in. The models live in a process of their own, the model host, which the workers
of a machine share. The probe says whether a worker of this machine takes jobs.
"""

import gc
import logging
import os
import signal
import warnings
from datetime import timedelta
from types import FrameType

import click
from billiard.exceptions import WorkerLostError
from celery.signals import (
    setup_logging,
    task_failure,
    worker_process_init,
    worker_shutting_down,
)

from celery_app import celery_app
from config import Settings, bound_openmp_spinning, get_settings
from domain.errors import ConfigurationError
from services.consumed_queues import CONSUMED
from services.drain import DRAIN
from services.log_context import configure_logging
from services.lost_children import expire_lost_leases

logger = logging.getLogger(__name__)


@click.group()
def main() -> None:
    """Transcribe (worker), keep the time (reconciler), see that jobs are taken (probe)."""
    try:
        settings = get_settings()
    except ConfigurationError as error:
        raise click.ClickException(f"cannot start: {error}") from error
    configure_logging(settings.log_level, settings.log_format)


@main.command("worker")
@click.option("--concurrency", "-c", type=int, help="Prefork children; CELERY_CONCURRENCY.")
@click.option("--queues", "-Q", help="Comma-separated, first served first; WORKER_QUEUES.")
@click.option("--name", default="celery", help="Names of workers on one host must differ.")
def run_worker(concurrency: int | None, queues: str | None, name: str) -> None:
    """Consume the queues in strict order: high, normal, retry."""
    # Late, as the reconciler runs where no engine and no numpy is installed.
    from hosting.folder import open_folder
    from hosting.keeper import HostKeeper

    settings = get_settings()
    require_engine(settings)
    consumed = queues.split(",") if queues else list(settings.queues)
    CONSUMED.names = tuple(consumed)
    slots = concurrency or settings.celery_worker_concurrency
    # The warning is about pickled messages from strangers; ours are JSON, and nothing else is read.
    warnings.filterwarnings("ignore", message=".*superuser privileges", module="celery.platforms")
    logger.info("worker_starts", extra={"queues": ",".join(consumed), "concurrency": slots})
    keeper = HostKeeper(open_folder(settings.run_path))
    keeper.start()
    freeze_before_forks()
    try:
        celery_app.worker_main(
            [
                "--quiet",  # without Celery's banner
                "worker",
                "--pool=prefork",
                f"--hostname={name}@%h",
                f"--concurrency={slots}",
                f"--queues={','.join(consumed)}",
                "--without-mingle",
                "--without-gossip",
                f"--loglevel={settings.log_level}",
            ]
        )
    finally:
        keeper.leave()


@main.command("model-host")
@click.option("--place", default=0, type=click.IntRange(0), help="Number of the device.")
@click.option("--alone", help="Serve one caller, which knows this name, on the best device.")
def run_model_host(place: int, alone: str | None) -> None:
    """Hold the models of one device for the children of all workers; workers start it."""
    bound_openmp_spinning()  # before torch is imported
    from hosting.process import run_host, run_lonely_host

    settings = get_settings()
    require_engine(settings)
    try:
        if alone:
            run_lonely_host(settings, alone)
        else:
            run_host(settings, place)
    except ConfigurationError as error:  # of the device, which nobody could ask before
        raise click.ClickException(f"the model host cannot start: {error}") from error


@main.command("reconciler")
def run_reconciler() -> None:
    """Dispatch what waits, take back what was abandoned, remove what expired, send webhooks."""
    from services.context import build_services
    from services.reconciler import Reconciler
    from services.webhooks.deliverer import Deliverer
    from services.webhooks.sending import Sender

    services = build_services(get_settings())
    reconciler = Reconciler(services)
    deliverer = Deliverer(services, Sender(services.outgoing))

    def stop(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        reconciler.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with deliverer.running():
        reconciler.run()


@main.command("probe")
@click.option("--worker", help="As /admin/health names it; all workers of this host otherwise.")
def probe_worker(worker: str | None) -> None:
    """Succeed when a worker of this host reports and takes jobs; say what is wrong otherwise."""
    from database import get_db_session
    from services.liveness import worker_problem

    deaf_after = timedelta(seconds=get_settings().deaf_after_s)
    problem = worker_problem(get_db_session, deaf_after, worker)
    if problem:
        raise click.ClickException(problem)


def freeze_before_forks() -> None:
    """Keep the collector of each child from writing to what it shares with its parent.

    A page that is written to is copied: 48 MB in each child without this, 17 with it.
    """
    os.register_at_fork(before=_collect_and_freeze)


def _collect_and_freeze() -> None:
    gc.collect()
    gc.freeze()


def require_engine(settings: Settings) -> None:
    """Raise click.ClickException when the engine is not installed. Imports nothing of it."""
    from engines.registry import missing_extra

    missing = missing_extra(settings.whisper_engine)
    if missing:
        raise click.ClickException(f"cannot start: {missing}")


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    settings = get_settings()
    configure_logging(settings.log_level, settings.log_format)


@worker_process_init.connect
def _start_child(**_: object) -> None:
    from services.worker_process import start_child

    start_child()


@task_failure.connect
def _let_go_of_lost_jobs(exception: BaseException, **_: object) -> None:
    if isinstance(exception, WorkerLostError):  # said in the parent: the child cannot any more
        expire_lost_leases(get_settings().sqlalchemy_url)


@worker_shutting_down.connect
def _hand_jobs_back(**_: object) -> None:
    DRAIN.raise_flag()


if __name__ == "__main__":
    main()
