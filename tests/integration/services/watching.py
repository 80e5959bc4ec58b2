"""What tests watch: the history and the windows of a job, and a database that goes away."""

import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import select

from domain.errors import DatabaseUnavailable
from models import JobEvent
from services.window_store import load_windows

PATIENCE_S = 30.0


def kept(services, job_id):
    with services.open_session() as session:
        return load_windows(session, job_id)


def history(services, job_id):
    with services.open_session() as session:
        query = select(JobEvent).where(JobEvent.job_id == job_id).order_by(JobEvent.id)
        return list(session.scalars(query))


def events_of(services, job_id):
    return [line.event for line in history(services, job_id)]


def await_that(is_true, patience_s=PATIENCE_S):
    waiter = threading.Event()
    ends_at = time.monotonic() + patience_s
    while not is_true():
        if time.monotonic() > ends_at:
            pytest.fail("it did not come true")
        waiter.wait(0.01)


class Outage:
    """A database that is away while `is_on`."""

    def __init__(self, services):
        self.is_on = False
        self.refused = 0
        self.on_refusal = lambda: None
        self.services = replace(
            services,
            open_session=self._unless_away(services.open_session),
            open_statement=self._unless_away(services.open_statement),
        )

    def _unless_away(self, opening):
        @contextmanager
        def open_if_there():
            if self.is_on:
                self.refused += 1
                self.on_refusal()
                raise DatabaseUnavailable("away")
            with opening() as session:
                yield session

        return open_if_there
