"""What each of those who touch a job does to it, and what has to come of it by the model."""

from domain.errors import AudioUnreadable, EngineError
from domain.lifecycle import TERMINAL, Rank, rank_of
from domain.options import TranscriptionOptions
from services import lifecycle, sweeps
from services.attempts import FailedAttempt
from services.heartbeat import save_progress
from services.jobs import cancel_job, purge_job, set_priority
from services.transcription import _on_error
from tests.integration.services.core_under_test import (
    HOUR,
    LONG_AGO,
    TRANSCRIPT,
    WORKERS,
    CoreUnderTest,
)
from tests.integration.services.lifecycle_model import (
    CANCELLED,
    COMPLETED,
    FAILED,
    PENDING,
    PROCESSING,
)

FAULT = FailedAttempt("engine_error", "EngineError", "a fault", None, WORKERS[0], 1.0)


class Client(CoreUnderTest):
    """The API. Each step takes a job's id and a priority; some have no use for the second."""

    def cancel(self, job_id, _):
        job = self.queue.jobs.get(job_id)
        is_open = job is not None and job.status in {PENDING, PROCESSING}

        assert self.is_done(cancel_job, job_id) == is_open

        if is_open:
            job.is_cancel_requested = True
            job.is_fresh = False
            if job.status is PENDING:
                job.finish(CANCELLED, "cancelled")
            else:
                job.events.append("cancel_requested")

    def reprioritise(self, job_id, priority):
        job = self.queue.jobs.get(job_id)
        waits = job is not None and job.status is PENDING
        if waits and job.priority != priority:  # what it has already costs nothing
            rank = rank_of(priority, job.attempt)
            turn = self.queue.take_turn(job.client, rank)
            job.priority, job.rank, job.turn = priority, rank, turn
            job.rings = []
            job.events.append("reprioritised")

        assert self.is_done(set_priority, job_id, priority) == waits

    def requeue(self, job_id, _):
        self._requeue(job_id, None, None)

    def requeue_changed(self, job_id, priority):
        self._requeue(job_id, TranscriptionOptions("tiny").to_dict(), priority)

    def _requeue(self, job_id, options, priority):
        job = self.queue.jobs.get(job_id)
        with self.session() as session:
            is_done = lifecycle.requeue_failed(
                session, job_id, actor="admin", options=options, priority=priority
            )

        assert is_done == (job is not None and job.status is FAILED)

        if is_done:
            job.wait("requeued")
            job.attempt = 0
            job.token += 1
            job.priority = job.priority if priority is None else priority
            job.rank = rank_of(job.priority, 0)
            job.windows = job.windows if options is None else []

    def purge(self, job_id, _):
        job = self.queue.jobs.get(job_id)
        is_finished = job is not None and job.status in TERMINAL

        assert self.is_done(purge_job, job_id) == is_finished

        if is_finished:
            del self.queue.jobs[job_id]


class Worker(CoreUnderTest):
    """A worker with a claim, or the zombie that it became. Each step takes the claim and the
    windows that were decoded since the last heartbeat.
    """

    def heartbeat(self, claim, windows):
        job = self.held(claim)
        with self.session() as session:
            beat = lifecycle.heartbeat(session, claim, lease=HOUR, progress=0.5)
            if beat is not None:
                save_progress(session, claim, windows)

        assert (beat is not None) == (job is not None)

        if job is not None:
            assert beat.is_cancel_requested == job.is_cancel_requested
            job.is_lapsed = job.is_fresh = False
            job.keep(windows)

    def complete(self, claim, _):
        job = self.held(claim)

        is_done = self.end_attempt(claim, [], lifecycle.complete, TRANSCRIPT, 1.0)

        assert is_done == self._may_end(job)
        if is_done:
            job.finish(COMPLETED, "completed")
            job.result_token, job.windows = claim.lease_token, []

    def retry_later(self, claim, windows):
        if claim.attempt == claim.max_attempts:
            return
        job = self.held(claim)

        is_done = self.end_attempt(claim, windows, lifecycle.retry_later, FAULT, HOUR)

        assert is_done == self._may_end(job)
        if is_done:
            job.wait_for_retry("retry")
            job.keep(windows)

    def fail(self, claim, windows):
        job = self.held(claim)

        is_done = self.end_attempt(claim, windows, lifecycle.fail, FAULT, "permanent error")

        assert is_done == self._may_end(job)
        if is_done:
            job.finish(FAILED, "dead_lettered")
            job.keep(windows)

    def release(self, claim, windows):
        job = self.held(claim)

        is_done = self.end_attempt(claim, windows, lifecycle.release, "worker stops")

        assert is_done == self._may_end(job)
        if is_done:
            job.wait("released")
            job.attempt -= 1
            job.token += 1
            job.keep(windows)

    def confirm_cancel(self, claim, _):
        job = self.held(claim)

        is_done = self.end_attempt(claim, [], lifecycle.confirm_cancel)

        assert is_done == (job is not None and job.is_cancel_requested)
        if is_done:
            job.finish(CANCELLED, "cancelled")

    def meet_a_passing_fault(self, claim, windows):
        self._meet(EngineError("a fault"), claim, windows)

    def meet_a_lasting_fault(self, claim, windows):
        self._meet(AudioUnreadable("no frames"), claim, windows)

    def _meet(self, error, claim, windows):
        job = self.held(claim)

        _on_error(self.worker_of(claim), claim, error, windows)

        if job is None:
            return
        if job.is_cancel_requested:
            job.finish(CANCELLED, "cancelled")
            return
        if error.is_transient and job.attempt < job.max_attempts:
            job.wait_for_retry("retry")
        else:
            job.finish(FAILED, "dead_lettered")
        job.keep(windows)

    def _may_end(self, job):
        return job is not None and not job.is_cancel_requested


class Reconciler(CoreUnderTest):
    """The sweeps."""

    def dispatch_pending(self):
        for job in self.queue.of_status(PENDING):
            job.come_due()

        sweeps.dispatch_pending(self.services)

        if not self.is_broker_away:
            assert all(job.is_heard_of for job in self.queue.ready())

    def age_waiting(self):
        old = [job for job in self.queue.ready() if job.is_old and job.rank is not Rank.HIGH]
        turn = self.queue.present(Rank.HIGH)

        assert sweeps.age_waiting(self.services) == len(old)

        for job in old:
            job.rank, job.turn, job.rings = Rank.HIGH, turn, []
            job.events.append("aged")

    def reap_expired(self):
        lost = [
            job
            for job in self.queue.of_status(PROCESSING)
            if job.is_lapsed and not job.is_cancel_requested
        ]

        assert sweeps.reap_expired(self.services) == len(lost)

        for job in lost:
            job.token += 1
            if job.attempt < job.max_attempts:
                job.wait_for_retry("reaped")
            else:
                job.finish(FAILED, "dead_lettered")

    def force_cancels(self):
        stubborn = [
            job
            for job in self.queue.of_status(PROCESSING)
            if job.is_cancel_requested and (job.is_lapsed or job.is_disobeyed)
        ]

        assert sweeps.force_cancels(self.services) == len(stubborn)

        for job in stubborn:
            job.token += 1
            job.finish(CANCELLED, "cancelled")


class Misfortune(CoreUnderTest):
    """Time, and workers that die."""

    def time_passes_for(self, job_id):
        """The date that matters to this job next is in the past now."""
        job = self.queue.jobs.get(job_id)
        if job is None or job.status in TERMINAL:
            return
        if job.is_cancel_requested and not job.is_disobeyed:
            self.move_dates(job_id, "is_disobeyed", cancel_requested_at=LONG_AGO)
        elif job.status is PROCESSING:
            self.move_dates(job_id, "is_lapsed", lease_expires_at=LONG_AGO)
        elif job.is_delayed:
            self.move_dates(job_id, "is_due", next_attempt_at=LONG_AGO)
        else:
            self.move_dates(job_id, "is_old", waiting_since=LONG_AGO)

    def worker_is_known_to_be_dead(self, worker):
        lost = [job for job in self.queue.of_status(PROCESSING) if job.owner == worker]
        with self.session() as session:
            assert lifecycle.expire_leases(session, [worker]) == len(lost)

        for job in lost:
            job.is_lapsed, job.is_fresh = True, False
