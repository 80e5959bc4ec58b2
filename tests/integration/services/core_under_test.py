"""The job core beside its model: what the rules of the state machine stand on."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from io import BytesIO

import pytest
from hypothesis.stateful import RuleBasedStateMachine
from sqlalchemy import Row as SqlRow
from sqlalchemy import delete, func, select, text, update

from config import CONSUMED_QUEUES
from domain.errors import BrokerUnavailable, JobNotFound, JobStateConflict
from domain.lifecycle import TERMINAL, JobStatus, Rank
from domain.options import TranscriptionOptions
from domain.submission import Submission
from domain.transcript import Transcript
from models import (
    ClientTurn,
    JobEvent,
    TranscriptionJob,
    TranscriptionResult,
    TranscriptionWindow,
    UsageEntry,
)
from services import lifecycle, sweeps
from services.dispatch import RANK_OF_QUEUE
from services.heartbeat import save_progress
from services.jobs import submit_job
from services.transcription import run_waiting
from tests.integration.services.conftest import window
from tests.integration.services.lifecycle_model import Queue

Row = TranscriptionJob
WORKERS = ("host:1/1", "host:2/1")
HOUR = timedelta(hours=1)
LONG_AGO = func.now() - timedelta(days=1)
ROUNDS = 3  # until all is settled: reap, wait for the retry, run
SETTINGS = {  # no date passes by itself
    "retry_base_s": 3600.0,
    "retry_cap_s": 3600.0,
    "lease_s": 3600.0,
    "cancel_force_after_s": 3600.0,
    "age_after_s": 3600.0,
    "max_attempts": 2,
    "client_weights": "alice=3",
}
TRANSCRIPT = Transcript(
    segments=(),
    language="en",
    language_probability=None,
    task="transcribe",
    duration_s=1.0,
    model_requested="base",
    model_used="base",
    engine="fake",
    device="cpu",
)
FORGET_CLAIM = text(
    "UPDATE transcription_jobs SET status = 'pending', attempt = attempt - 1,"
    " lease_token = lease_token - 1, lease_owner = NULL, lease_expires_at = NULL WHERE id = :id"
)
FORGET_START = text(
    "DELETE FROM job_events WHERE id = (SELECT max(id) FROM job_events WHERE job_id = :id)"
)


ENOUGH_MESSAGES = 1  # in a queue: the fewest that may be enough
TELLING = {
    "history": (JobEvent.job_id, JobEvent.id, JobEvent.event, JobEvent.status),
    "results": (TranscriptionResult.job_id, TranscriptionResult.lease_token),
    "windows": (TranscriptionWindow.job_id, TranscriptionWindow.number),
    "usage": (UsageEntry.job_id, UsageEntry.id, UsageEntry.kind),
}


@dataclass
class Told:
    """The row of a job, and what hangs on it."""

    row: SqlRow
    history: list[tuple] = field(default_factory=list)  # id, event, status
    results: list[tuple] = field(default_factory=list)  # token
    windows: list[tuple] = field(default_factory=list)  # number
    usage: list[tuple] = field(default_factory=list)  # id, kind


class CoreUnderTest(RuleBasedStateMachine):
    """The real core with a broker of our own, and the model that it has to agree with."""

    def __init__(self, services, worker):
        super().__init__()
        self.job_ids = []
        self.claims = []  # of live workers, and of those whose lease was lost
        self.messages = []  # what the broker holds
        self.is_broker_away = self.has_lost_messages = False
        self.first_ring = None  # of the job that is being submitted
        self.services = replace(
            services,
            settings=services.settings.model_copy(update=SETTINGS),
            publish=self._publish,
            queue_depths=lambda: dict.fromkeys(CONSUMED_QUEUES, 0),
        )
        self.worker = worker
        self.queue = Queue(self.services.settings.weights)
        self.tokens = defaultdict(int)  # the highest one seen of each job
        with self.session() as session:
            session.execute(delete(Row))
            session.execute(delete(ClientTurn))
            session.execute(delete(UsageEntry))

    def session(self):
        return self.services.open_session()

    def add_job(self, client, priority):
        """Submit one, and let the model take it in."""
        stored = self.services.storage.put(BytesIO(b"recording"), max_bytes=100)
        options = TranscriptionOptions("base")
        self.first_ring = None
        job_id = submit_job(
            self.services, stored, options, Submission(priority=priority, client=client)
        )
        job = self.queue.add(job_id, client, priority, self.services.settings.max_attempts)
        job.rings = [self.first_ring] if self.first_ring else []
        self.job_ids.append(job_id)

    def is_done(self, action, job_id, *args):
        """Whether a use case took the job as it is."""
        try:
            action(self.services, job_id, *args)
        except (JobNotFound, JobStateConflict):
            return False
        return True

    def claim_next(self, worker, rank):
        """A worker takes the next job; it is the one that the model would take."""
        expected = self.queue.best(rank)
        with self.session() as session:
            claim = lifecycle.claim_next(session, rank, worker=worker, lease=HOUR)
        self._start(expected, claim)

    def deliver(self, worker, job_id, queue):
        """A message reaches a worker."""
        expected = self.queue.best(RANK_OF_QUEUE[queue])
        self._start(expected, self._claim_by_message(worker, job_id, queue))

    def held(self, claim):
        """The job, when this claim may still write to it."""
        job = self.queue.jobs.get(claim.job_id)
        return job if job is not None and job.is_held_by(claim) else None

    def windows(self, claim, kept, new):
        """What a worker decoded anew after the first of those that are kept."""
        job = self.queue.jobs.get(claim.job_id)
        first = min(kept, len(job.windows) if job else 0)
        return [window(number) for number in range(first, first + new)]

    def end_attempt(self, claim, windows, end, *args):
        """The worker ends its attempt, and saves the windows that no heartbeat saved."""
        with self.session() as session:
            is_done = end(session, claim, *args)
            if is_done:
                save_progress(session, claim, windows)
        return is_done

    def move_dates(self, job_id, flag, **dates):
        """Let time pass for a job, and note it in the model."""
        with self.session() as session:
            session.execute(update(Row).where(Row.id == job_id).values(**dates))
        job = self.queue.jobs[job_id]
        setattr(job, flag, True)
        job.is_fresh = False

    def worker_of(self, claim):
        """The collaborators of the worker that holds a claim, or held it."""
        return replace(self.worker, base=self.services, worker=claim.worker)

    def change_settings(self, **changes):
        """Go on with other settings."""
        settings = self.services.settings.model_copy(update=changes)
        self.services = replace(self.services, settings=settings)

    def forget_claim(self, claim):
        """Postgres crashed before the claim, which does not wait for the disk, was on it."""
        job_id = claim.job_id
        with self.session() as session:
            session.execute(FORGET_CLAIM, {"id": job_id})
            session.execute(FORGET_START, {"id": job_id})
        job = self.queue.jobs[job_id]
        job.unstart()
        self.tokens[job_id] = job.token
        self.has_lost_messages = True  # the one that was spent on the claim

    def jobs_at_hand(self, *statuses):
        """Ids of jobs: mostly of those that stand so."""
        suited = [job_id for job_id, job in self.queue.jobs.items() if job.status in statuses]
        return suited * 3 + self.job_ids

    def claims_at_hand(self):
        """Claims that hold their job, and zombies: most of all where two are at odds."""
        live = [claim for claim in self.claims if self.held(claim)]
        busy = {claim.job_id for claim in live}
        rivals = [claim for claim in self.claims if claim.job_id in busy and claim not in live]
        cancelled = [claim for claim in live if self.held(claim).is_cancel_requested]
        return live + (rivals + cancelled) * 3 or self.claims[-2:]

    def fresh_claims(self):
        """Claims after which nothing was written."""
        held = [(claim, self.held(claim)) for claim in self.claims]
        return [claim for claim, job in held if job is not None and job.is_fresh]

    def look(self):
        """What the database says of every job."""
        by_job = {}
        with self.services.open_statement() as session:
            for row in session.execute(select(Row.__table__)):
                by_job[row.id] = Told(row)
            for name, columns in TELLING.items():
                for job_id, *values in session.execute(select(*columns).order_by(*columns[:2])):
                    if name != "usage" or job_id in by_job:  # that alone outlives the job
                        getattr(by_job[job_id], name).append(tuple(values))
        return by_job

    def settle(self):
        """Bring everything up again and let it run; returns the jobs that never end."""
        self.is_broker_away = False
        with self.session() as session:
            expired = {"lease_expires_at": LONG_AGO}
            session.execute(update(Row).where(Row.lease_owner.is_not(None)).values(**expired))
            if self.has_lost_messages:
                session.execute(update(Row).values(published_at=LONG_AGO))
        for _ in range(ROUNDS):
            self._run_everything()
        with self.session() as session:
            return [
                facts(row) for row in session.scalars(select(Row)) if row.status not in TERMINAL
            ]

    def _run_everything(self):
        with self.session() as session:
            is_delayed = Row.next_attempt_at.is_not(None)
            session.execute(update(Row).where(is_delayed).values(next_attempt_at=LONG_AGO))
        sweeps.force_cancels(self.services)
        sweeps.reap_expired(self.services)
        sweeps.dispatch_pending(self.services)
        while self.messages:
            self.messages.sort(key=lambda message: RANK_OF_QUEUE[message[1]])
            claim = self._claim_by_message(WORKERS[0], *self.messages.pop(0))
            if claim is not None:
                with self.session() as session:
                    lifecycle.complete(session, claim, TRANSCRIPT, 1.0)

    def _publish(self, job_id, queue):
        """As `dispatch.publish`: where messages wait already, no more are needed."""
        if self.is_broker_away:
            self.has_lost_messages = True  # of one that is sent on nobody else knows
            raise BrokerUnavailable("away")
        if [name for _, name in self.messages].count(queue) < ENOUGH_MESSAGES:
            self.messages.append((job_id, queue))
        if job_id in self.queue.jobs:
            self.queue.jobs[job_id].rings.append(queue)
        else:
            self.first_ring = queue

    def _claim_by_message(self, worker, job_id, queue):
        """The claim of one message; it is sent on then. The attempt itself consists of rules."""
        claims = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("services.transcription._attempt", lambda _, claim: claims.append(claim))
            patch.setattr("services.transcription.TASK_S", -1.0)
            run_waiting(replace(self.worker, base=self.services, worker=worker), job_id, queue)
        return claims[0] if claims else None

    def _start(self, expected, claim):
        assert (claim and claim.job_id) == expected
        if claim is None:
            return
        job = self.queue.jobs[expected]
        assert claim.has_windows == bool(job.windows)
        job.start(claim.worker)
        assert (claim.attempt, claim.lease_token) == (job.attempt, job.token)
        self.claims.append(claim)


def facts(row):
    """What a row says, in the order of `expected_facts`."""
    return (
        JobStatus(row.status),
        row.attempt,
        row.lease_token,
        row.lease_owner,
        row.priority,
        Rank(row.rank),
        row.turn,
        row.cancel_requested_at is not None,
        row.next_attempt_at is not None,
    )


def expected_facts(job):
    """What the model says of a job."""
    return (
        job.status,
        job.attempt,
        job.token,
        job.owner,
        job.priority,
        job.rank,
        job.turn,
        job.is_cancel_requested,
        job.is_delayed,
    )
