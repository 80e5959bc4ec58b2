"""Random interleavings of workers, reaper, API and reconciler, held against a plain model.

The database is real. Each rule is one step of one of them; dates are moved instead of waited
for. After every step the rows, the history and the results have to be those of the model.
"""

import logging
from itertools import pairwise

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from domain.lifecycle import TRANSITIONS, JobStatus, Priority, Rank
from tests.integration.services.core_under_test import WORKERS, expected_facts, facts
from tests.integration.services.lifecycle_model import (
    CANCELLED,
    COMPLETED,
    FAILED,
    PENDING,
    PROCESSING,
)
from tests.integration.services.lifecycle_steps import Client, Misfortune, Reconciler, Worker

MAX_OPEN = 3  # jobs: few of them come far
CLIENTS = ("alice", "bob", "")
# How often, so that jobs meet all kinds of ends, and many steps before them.
STEPS = {
    "work": 10,
    "claim": 6,
    "ask": 4,
    "lose_a_worker": 2,
    "retry_now": 2,
    "receive": 2,
    "reconcile": 2,
    "submit": 2,
    "time_passes": 2,
    "break_down": 2,
    "postgres_crashes": 1,
    "sweep": 1,
}
DEEDS = {
    "heartbeat": 3,
    "complete": 2,
    "retry_later": 2,
    "release": 2,
    "meet_a_passing_fault": 2,
    "fail": 1,
    "meet_a_lasting_fault": 1,
    "confirm_cancel": 1,
}
WISHES = {  # and of jobs in which states mostly
    "cancel": (PROCESSING,),
    "reprioritise": (PENDING,),
    "requeue": (FAILED,),
    "requeue_changed": (FAILED,),
    "purge": (COMPLETED, FAILED, CANCELLED),
}
WEIGHTS_OF_WISHES = {**dict.fromkeys(WISHES, 1), "cancel": 3}
SWEEPS = ("dispatch_pending", "age_waiting", "reap_expired", "force_cancels")
BREAKDOWNS = (
    *("the_broker_goes", "the_broker_comes_back", "the_broker_forgets"),
    *("a_worker_dies", "the_operator_sets_max_attempts"),
)


class JobCore(Client, Worker, Reconciler, Misfortune):
    """Everybody who may touch a job, one step at a time."""

    # Dice of our own: left to Hypothesis, most walks take the same few steps again and again.
    @initialize(dice=st.randoms(use_true_random=True))
    def begin(self, dice):
        self.dice = dice
        priority = dice.choice([*Priority])
        for client in ("alice", "alice", "bob"):
            self.add_job(client, priority)

    @rule()
    def step(self):
        step = self._of(STEPS)
        note(step)
        getattr(self, f"_{step}")()

    def _submit(self):
        if len(self.queue.of_status(PENDING, PROCESSING)) < MAX_OPEN:
            self.add_job(self.dice.choice(CLIENTS), self.dice.choice([*Priority]))

    def _ask(self):
        wish = self._of(WEIGHTS_OF_WISHES)
        job_id, priority = self._job(*WISHES[wish]), self.dice.choice([*Priority])
        note(f"{wish} {job_id} {priority.label}")
        getattr(self, wish)(job_id, priority)

    def _claim(self):
        self.claim_next(self.dice.choice(WORKERS), self.dice.choice([*Rank]))

    def _receive(self):
        if self.messages:
            place = self.dice.randrange(len(self.messages))
            is_doubled = self.dice.random() < 0.5
            message = self.messages[place] if is_doubled else self.messages.pop(place)
            note(f"{message} twice: {is_doubled}")
            self.deliver(self.dice.choice(WORKERS), *message)

    def _work(self):
        if not self.queue.of_status(PROCESSING) and self.dice.random() < 0.7:
            self._claim()
        if claims := self.claims_at_hand():
            claim, deed = self.dice.choice(claims), self._of(DEEDS)
            kept, new = self.dice.randrange(5), self.dice.randrange(4)
            note(f"{claim.worker} {claim.lease_token} {deed} {claim.job_id} {kept} {new}")
            getattr(self, deed)(claim, self.windows(claim, kept, new))

    def _reconcile(self):
        """One round of the sweeps, in any order: another reconciler may be at it too."""
        for sweep in self.dice.sample(SWEEPS, len(SWEEPS)):
            getattr(self, sweep)()

    def _sweep(self):
        getattr(self, self.dice.choice(SWEEPS))()

    def _time_passes(self):
        self.time_passes_for(self._job(PENDING, PROCESSING))

    def _lose_a_worker(self):
        """Until the reaper has found out."""
        self.time_passes_for(self._job(PROCESSING))
        self.reap_expired()

    def _retry_now(self):
        """As soon as a retry is due."""
        self.time_passes_for(self._job(PENDING))
        self.dispatch_pending()

    def _postgres_crashes(self):
        if claims := self.fresh_claims():
            self.forget_claim(self.dice.choice(claims))

    def _break_down(self):
        breakdown = self.dice.choice(BREAKDOWNS)
        note(breakdown)
        match breakdown:
            case "the_broker_goes":
                self.is_broker_away = True
            case "the_broker_comes_back":
                self.is_broker_away = False
            case "the_broker_forgets":
                self.messages.clear()
                self.has_lost_messages = True
            case "a_worker_dies":
                self.worker_is_known_to_be_dead(self.dice.choice(WORKERS))
            case "the_operator_sets_max_attempts":  # it holds for jobs to come
                self.change_settings(max_attempts=self.dice.randint(1, 3))

    def _of(self, weighted):
        return self.dice.choices([*weighted], [*weighted.values()])[0]

    def _job(self, *statuses):
        return self.dice.choice(self.jobs_at_hand(*statuses))

    @invariant()
    def the_database_agrees_with_the_model(self):
        told = self.look()

        assert told.keys() == self.queue.jobs.keys()
        for job_id, job in self.queue.jobs.items():
            self._check_row(told[job_id].row, job)
            self._check_history(told[job_id].history, job)
            self._check_yield(told[job_id], job)
            self._check_usage(told[job_id].usage, job)

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

    def _check_usage(self, usage, job):
        """A job counts once when it is submitted, and once when it is completed."""
        counted = [kind for _, kind in usage]

        assert counted == ["submitted"] + job.events.count("completed") * ["completed"]

    def teardown(self):
        """Whatever happened: with everything up again, every job comes to an end."""
        assert self.settle() == []


def test_the_job_core_agrees_with_its_model(services, worker, caplog):
    caplog.set_level(logging.CRITICAL)  # thousands of lines about what is done here on purpose

    run_state_machine_as_test(
        lambda: JobCore(services, worker),
        settings=settings(
            max_examples=75,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,  # the same walks in every run
            database=None,
            # To see the shortest walk to a failure, add Phase.shrink; it takes minutes.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
