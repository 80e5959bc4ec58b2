"""Rows as the database would give them, for the tests of the pure parts."""

from uuid import UUID

from chaos.faults import Fault, FaultKind
from chaos.history import Event, Job, Ledger, Result

OWNER = "host:100/101"


def job_id(number):
    return UUID(int=number)


def make_events(number, *steps, start=0.0, actor=OWNER):
    """A history: each step is (event, status, attempt), a second after the one before."""
    return [
        Event(number * 1000 + index, job_id(number), event, status, attempt, actor, start + index)
        for index, (event, status, attempt) in enumerate(steps)
    ]


SUBMITTED = ("submitted", "pending", 0)
STARTED = ("started", "processing", 1)
COMPLETED = ("completed", "completed", 1)
REAPED = ("reaped", "pending", 1)
STARTED_AGAIN = ("started", "processing", 2)
COMPLETED_AGAIN = ("completed", "completed", 2)


def make_job(number=1, **changes):
    job = Job(
        id=job_id(number),
        filename=f"speech00-{number:04}.wav",
        status="completed",
        attempt=1,
        max_attempts=5,
        lease_token=1,
    )
    return job._replace(**changes)


def make_result(number=1, **changes):
    result = Result(job_id=job_id(number), attempt=1, lease_token=1, text="It was the best.")
    return result._replace(**changes)


def make_ledger(jobs=None, results=None, events=None):
    """One job that was started once and completed, or what is given instead."""
    return Ledger(
        jobs=[make_job()] if jobs is None else jobs,
        results=[make_result()] if results is None else results,
        events=make_events(1, SUBMITTED, STARTED, COMPLETED) if events is None else events,
    )


def make_fault(**changes):
    return Fault(**{"number": 1, "kind": FaultKind.CHILD, "at": 10.0, **changes})
