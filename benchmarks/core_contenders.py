"""Who takes part in `core`: what is started for each, and where its finished work is counted."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.core_stack import RECONCILER, WORKER
from config import CONSUMED_QUEUES

CHILDREN = 2  # prefork children of each, CELERY_CONCURRENCY as shipped
PYTHON = sys.executable
JOBS_DONE = """
SELECT count(*) FILTER (WHERE status = 'completed'), extract(epoch FROM max(completed_at)),
    count(*) FILTER (WHERE status <> 'completed')
FROM transcription_jobs WHERE completed_at >= to_timestamp(%(since)s)
"""
ROWS_DONE = """
SELECT count(*), extract(epoch FROM max(at)), 0 FROM peer_rows WHERE at >= to_timestamp(%(since)s)
"""


@dataclass(frozen=True)
class Part:
    """One process of a contender."""

    argv: tuple[str, ...]
    user: str  # of the database


@dataclass(frozen=True)
class Contender:
    """One way to get a job done."""

    name: str
    kind: str  # of its submitters: see core_submitter
    parts: Mapping[str, Part]
    done_sql: str  # how many are done since a moment, when the last one was, how many failed


def celery_worker(app: str, *options: str) -> Mapping[str, Part]:
    """A Celery worker on an application of core_celery_peer."""
    argv = (
        PYTHON, "-m", "celery", "--quiet", "-A", f"benchmarks.core_celery_peer:{app}",
        "worker", "--pool=prefork", f"--concurrency={CHILDREN}", "--loglevel=WARNING", *options,
    )  # fmt: skip
    return {"worker": Part(argv, WORKER)}


SCRIPTORIUM = Contender(
    "this server",
    "scriptorium",
    {
        "worker": Part((PYTHON, "worker.py", "worker", "-c", str(CHILDREN)), WORKER),
        "reconciler": Part((PYTHON, "worker.py", "reconciler"), RECONCILER),
    },
    JOBS_DONE,
)
CELERY_DEFAULT = Contender(
    "Celery, default settings", "celery-default", celery_worker("default"), ROWS_DONE
)
CELERY_ALIKE = Contender(
    "Celery, our settings",
    "celery-alike",
    # As worker.py starts it.
    celery_worker(
        "alike", f"--queues={','.join(CONSUMED_QUEUES)}", "--without-mingle", "--without-gossip"
    ),
    ROWS_DONE,
)
PROCRASTINATE = Contender(
    "procrastinate",
    "procrastinate",
    {
        "worker": Part(
            (
                PYTHON, "-m", "procrastinate", "--app=benchmarks.core_procrastinate_peer.app",
                "worker", f"--concurrency={CHILDREN}",
            ),
            WORKER,
        )
    },
    ROWS_DONE,
)  # fmt: skip
PEERS = (CELERY_DEFAULT, CELERY_ALIKE, PROCRASTINATE)
