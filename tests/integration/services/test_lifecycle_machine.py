"""Random interleavings of workers, reaper, API and reconciler, held against a plain model.

The database is real. Each rule is one step of one of them; dates are moved instead of waited
for. After every step the rows, the history and the results have to be those of the model.
"""

import logging
from itertools import pairwise

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from domain.lifecycle import TRANSITIONS, JobStatus, Priority, Rank
from tests.integration.services.core_under_test import WORKERS, expected_facts, facts
from tests.integration.services.lifecycle_model import COMPLETED, PENDING, PROCESSING
from tests.integration.services.lifecycle_steps import Client, Misfortune, Reconciler, Worker

MAX_OPEN = 3  # jobs: few of them come far
CLIENTS = st.sampled_from(("alice", "bob", ""))
PRIORITIES = st.sampled_from(Priority)
# Steps that keep jobs going stand here more than once, else most jobs would end early.
STEPS = st.sampled_from(
    (
        *("submit", "break_down"),
        *("ask", "claim", "receive", "reconcile") * 2,
        *("time_passes", "work") * 5,
    )
)
WISHES = st.sampled_from(("cancel", "reprioritise", "requeue", "requeue_changed", "purge"))
DEEDS = st.sampled_from(
    (
        *("complete", "fail", "meet_a_lasting_fault", "meet_a_passing_fault"),
        *("heartbeat", "retry_later", "release", "confirm_cancel") * 2,
    )
)
BREAKDOWNS = st.sampled_from(
    (
        *("the_broker_goes", "the_broker_comes_back", "the_broker_forgets"),
        *("a_worker_dies", "postgres_crashes", "the_operator_sets_max_attempts"),
    )
)


class JobCore(Client, Worker, Reconciler, Misfortune):
    """Everybody who may touch a job, one step at a time."""

    @initialize(priority=PRIORITIES)
    def begin(self, priority):
        for client in ("alice", "bob"):
            self.add_job(client, priority)

    # One rule for all: of several, an example would leave most out.
    @rule(step=STEPS, data=st.data())
    def step(self, step, data):
        getattr(self, f"_{step}")(data.draw)

    def _submit(self, draw):
        if len(self.queue.of_status(PENDING, PROCESSING)) < MAX_OPEN:
            self.add_job(draw(CLIENTS), draw(PRIORITIES))

    def _ask(self, draw):
        getattr(self, draw(WISHES))(self._job(draw), draw(PRIORITIES))

    def _claim(self, draw):
        self.claim_next(self._worker(draw), draw(st.sampled_from(Rank)))

    def _receive(self, draw):
        if self.messages:
            place = draw(st.integers(0, len(self.messages) - 1))
            is_doubled = draw(st.booleans())
            message = self.messages[place] if is_doubled else self.messages.pop(place)
            self.deliver(self._worker(draw), *message)

    def _work(self, draw):
        if claim := self._claim_at_hand(draw):
            windows = self.windows(claim, draw(st.integers(0, 4)), draw(st.integers(0, 3)))
            getattr(self, draw(DEEDS))(claim, windows)

    def _reconcile(self, _):
        """One round of the sweeps, in the order of the reconciler."""
        self.dispatch_pending()
        self.age_waiting()
        self.reap_expired()
        self.force_cancels()

    def _time_passes(self, draw):
        self.time_passes_for(self._job(draw))

    def _break_down(self, draw):
        match draw(BREAKDOWNS):
            case "the_broker_goes":
                self.is_broker_away = True
            case "the_broker_comes_back":
                self.is_broker_away = False
            case "the_broker_forgets":
                self.messages.clear()
                self.has_lost_messages = True
            case "a_worker_dies":
                self.worker_is_known_to_be_dead(self._worker(draw))
            case "postgres_crashes":
                if claim := self._claim_at_hand(draw):
                    self.postgres_crashes_and_forgets(claim)
            case "the_operator_sets_max_attempts":  # it holds for jobs to come
                self.change_settings(max_attempts=draw(st.integers(1, 4)))

    def _job(self, draw):
        return draw(st.sampled_from(self.jobs_at_hand()))

    def _worker(self, draw):
        return draw(st.sampled_from(WORKERS))

    def _claim_at_hand(self, draw):
        claims = self.claims_at_hand()
        return draw(st.sampled_from(claims)) if claims else None

    @invariant()
    def the_database_agrees_with_the_model(self):
        told = self.look()

        assert told.keys() == self.queue.jobs.keys()
        for job_id, job in self.queue.jobs.items():
            self._check_row(told[job_id].row, job)
            self._check_history(told[job_id].history, job)
            self._check_yield(told[job_id], job)

    def _check_row(self, row, job):
        assert facts(row) == expected_facts(job)
        assert row.attempt <= row.max_attempts
        assert row.lease_token >= self.tokens[row.id]
        assert row.status != PENDING or row.cancel_requested_at is None
        assert not job.is_ready or job.is_heard_of or row.published_at is None
        self.tokens[row.id] = row.lease_token

    def _check_history(self, history, job):
        """It tells every step, and each step is one that a job may take."""
        ways = [JobStatus(status) for _, _, status in history]

        assert [event for _, event, _ in history] == job.events
        assert (ways[0], ways[-1]) == (PENDING, job.status)
        for before, after in pairwise(ways):
            assert before is after or after in TRANSITIONS[before]

    def _check_yield(self, told, job):
        """Only what is completed has a result, of the attempt that completed it; no windows."""
        is_completed = job.status is COMPLETED
        numbers = [number for (number,) in told.windows]

        assert told.results == ([(job.result_token,)] if is_completed else [])
        assert numbers == job.windows == [*range(len(numbers))]
        assert not (numbers and is_completed)

    def teardown(self):
        """Whatever happened: with everything up again, every job comes to an end."""
        assert self.settle() == []


def test_the_job_core_agrees_with_its_model(services, worker, caplog):
    caplog.set_level(logging.CRITICAL)  # thousands of lines about what is done here on purpose

    run_state_machine_as_test(
        lambda: JobCore(services, worker),
        settings=settings(
            max_examples=50,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,  # the same walks in every run
            database=None,
            # To see the shortest walk to a failure, add Phase.shrink; it takes minutes.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
