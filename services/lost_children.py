"""A prefork child that was killed is noticed by its parent at once, and not by its lease alone."""

import logging
import os
import socket

import psutil
from sqlalchemy import create_engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from database import CONNECT_ARGS
from domain.lifecycle import JobStatus
from models import TranscriptionJob
from services import lifecycle

logger = logging.getLogger(__name__)

Job = TranscriptionJob
# The parent's loop stands still meanwhile; the lease is there for all that is not well at once.
HURRY = {
    **CONNECT_ARGS,
    "connect_timeout": 2,  # seconds
    "options": "-c statement_timeout=2000 -c lock_timeout=1000",
}


def expire_lost_leases(sqlalchemy_url: str) -> None:
    """End the leases of this worker's dead children, so that the reaper takes their jobs back.

    For the worker's parent process. What goes wrong is logged and left to the lease.
    """
    # A connection that lasted would be inherited by the child that replaces the dead one.
    engine = create_engine(sqlalchemy_url, poolclass=NullPool, connect_args=HURRY)
    try:
        with Session(engine) as session, session.begin():
            lost = [owner for owner in _owners(session) if not _is_child(owner)]
            count = lifecycle.expire_leases(session, lost) if lost else 0
    except SQLAlchemyError as error:
        logger.warning("lost_child_not_reported", extra={"reason": type(error).__name__})
    else:
        logger.warning("child_lost", extra={"owners": ",".join(lost), "jobs": count})


def _owners(session: Session) -> list[str]:
    """Who holds leases, of this worker's children past and present."""
    mine = f"{socket.gethostname()}:{os.getpid()}/"
    query = select(Job.lease_owner).where(
        Job.status == JobStatus.PROCESSING, Job.lease_owner.startswith(mine, autoescape=True)
    )
    return [owner for owner in session.scalars(query) if owner]


def _is_child(owner: str) -> bool:
    """Whether the process of this name lives as a child of ours; a number may be used again."""
    try:
        process = psutil.Process(int(owner.rpartition("/")[2]))
        return process.ppid() == os.getpid() and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False
