"""The lease is renewed while a job is worked on, and work that hangs is ended."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import func, select, update

from domain.errors import Stopped
from domain.lifecycle import Rank
from models import TranscriptionJob
from services import heartbeat, lifecycle, sweeps, transcription
from services.dead_letter_views import list_errors
from services.heartbeat import Heartbeat
from services.jobs import cancel_job, get_job
from services.transcription import run_job
from services.watchdog import StopReason
from tests.integration.services.conftest import window, with_worker
from tests.integration.services.watching import (
    PATIENCE_S,
    Outage,
    await_that,
    events_of,
    kept,
)

Job = TranscriptionJob
SOON_S = 0.05


@pytest.fixture(autouse=True)
def _beat_often(monkeypatch):
    monkeypatch.setattr(heartbeat, "MIN_PUBLISH_GAP_S", 0.0)


@pytest.fixture
def claim(services):
    def claim():
        with services.open_session() as session:
            return lifecycle.claim_next(
                session, Rank.RETRY, worker="host:1/2", lease=services.lease
            )

    return claim


def by_settings(services, **changes):
    return replace(services, settings=services.settings.model_copy(update=changes))


def set_all(services, **values):
    with services.open_session() as session:
        session.execute(update(Job).values(**values))


def lease_left_s(services):
    with services.open_session() as session:
        return session.scalar(
            select(func.extract("epoch", Job.lease_expires_at - func.clock_timestamp()))
        )


def obey(should_stop):
    """Work until told to stop, as a window loop does."""
    await_that(should_stop)
    raise Stopped


def beating(services, mine, *, is_draining=lambda: False, on_stuck=lambda: None):
    return Heartbeat(services, mine, is_draining=is_draining, on_stuck=on_stuck)


def test_the_lease_is_renewed_by_the_clock_of_the_database(services, submit, claim):
    submit()
    mine = claim()
    set_all(services, lease_expires_at=func.now())

    with beating(services, mine):
        await_that(lambda: lease_left_s(services) > services.settings.lease_s / 2)

    assert sweeps.reap_expired(services) == 0


def test_a_cancel_reaches_the_work_with_a_beat(services, submit, claim):
    job_id = submit()

    with beating(services, claim()) as heart:
        before = heart.should_stop()
        cancel_job(services, job_id)
        await_that(heart.should_stop)

    assert (before, heart.stop_reason) == (False, StopReason.CANCELLED)


def test_a_worker_that_drains_says_so_at_once(services, submit, claim):
    submit()

    with beating(services, claim(), is_draining=lambda: True) as heart:
        assert heart.stop_reason is StopReason.DRAINING


def test_a_lost_lease_stops_the_work(services, submit, claim):
    submit()

    with beating(services, claim()) as heart:
        set_all(services, lease_token=Job.lease_token + 1)
        await_that(heart.should_stop)

    assert heart.stop_reason is StopReason.LEASE_LOST


def test_the_work_goes_on_while_the_database_is_away_for_less_than_a_lease(services, submit, claim):
    submit()
    outage = Outage(services)

    with beating(outage.services, claim()) as heart:
        outage.is_on = True
        await_that(lambda: outage.refused >= 3)
        outage.is_on = False
        set_all(services, lease_expires_at=func.now())
        await_that(lambda: lease_left_s(services) > 1)

    assert heart.stop_reason is None


def test_the_work_stops_when_the_database_is_away_for_longer_than_a_lease(services, submit, claim):
    submit()
    outage = Outage(by_settings(services, lease_s=SOON_S))

    with beating(outage.services, claim()) as heart:
        outage.is_on = True
        await_that(heart.should_stop)

    assert heart.stop_reason is StopReason.LEASE_LOST


def test_what_people_watch_is_said_again_after_an_outage(services, submit, claim):
    job_id = submit()
    outage = Outage(services)

    with beating(outage.services, claim()) as heart:
        outage.is_on = True
        heart.publish(progress=0.25, time_left_s=9.0)
        await_that(lambda: outage.refused >= 2)
        heart.publish(progress=0.5)
        outage.is_on = False
        await_that(lambda: get_job(services, job_id).progress == 0.5)

    assert get_job(services, job_id).time_left_s == 9.0


def test_progress_never_goes_back(services, submit, claim):
    job_id = submit()

    with beating(services, claim()) as heart:
        heart.publish(progress=0.75)
        await_that(lambda: get_job(services, job_id).progress == 0.75)
        heart.publish(progress=0.25, time_left_s=8.0)
        await_that(lambda: get_job(services, job_id).time_left_s == 8.0)

    assert get_job(services, job_id).progress == 0.75


def test_a_beat_that_fails_for_an_unknown_reason_does_not_end_the_heart(
    services, submit, claim, monkeypatch
):
    submit()
    faults = [ValueError("never seen before")]
    beat = lifecycle.heartbeat

    def fail_once(*args, **kwargs):
        if faults:
            raise faults.pop()
        return beat(*args, **kwargs)

    monkeypatch.setattr(lifecycle, "heartbeat", fail_once)

    with beating(services, claim()):
        await_that(lambda: not faults)
        set_all(services, lease_expires_at=func.now())
        await_that(lambda: lease_left_s(services) > 1)


def test_a_window_that_postgres_refuses_costs_neither_the_lease_nor_the_job(
    services, submit, claim
):
    job_id = submit()
    not_json = replace(window(0), carried={"logprob": float("nan")})

    with beating(services, claim()) as heart:
        heart.keep(not_json)
        set_all(services, lease_expires_at=func.now())
        await_that(lambda: lease_left_s(services) > 1)

    assert heart.stop_reason is None
    assert kept(services, job_id) == ()


def test_a_decode_that_hangs_is_tried_again_and_keeps_its_windows(services, worker, model, submit):
    job_id = submit()
    model.windows = 2
    model.act = obey
    hasty = by_settings(services, stall_after_s=SOON_S)

    run_job(with_worker(worker, base=hasty))

    job = get_job(services, job_id)
    assert (job.status, job.error_type, job.attempt) == ("pending", "decode_stalled", 1)
    assert [w.number for w in kept(services, job_id)] == [0, 1]
    assert events_of(services, job_id) == ["submitted", "started", "retry"]


def test_an_attempt_that_takes_too_long_is_tried_again_and_keeps_its_windows(
    services, worker, model, submit
):
    job_id = submit()
    model.windows = 2
    model.act = obey
    hasty = by_settings(services, time_limit_base_s=SOON_S, time_limit_factor=1e-9)

    run_job(with_worker(worker, base=hasty))

    job = get_job(services, job_id)
    assert (job.status, job.error_type) == ("pending", "time_limit_exceeded")
    assert [w.number for w in kept(services, job_id)] == [0, 1]


def test_a_job_that_hangs_every_time_ends_in_the_dead_letters(services, worker, model, submit):
    job_id = submit()
    model.act = obey
    hasty = by_settings(services, stall_after_s=SOON_S)

    for _ in range(services.settings.max_attempts):
        set_all(services, next_attempt_at=None)
        run_job(with_worker(worker, base=hasty))

    [letter] = list_errors(services).errors
    assert get_job(services, job_id).status == "failed"
    assert (letter.type, letter.retry_count) == ("decode_stalled", 4)


def test_a_model_that_loads_for_long_is_not_called_hung(services, worker, model, submit):
    job_id = submit()
    hasty = by_settings(services, stall_after_s=SOON_S, time_limit_base_s=SOON_S)

    class SlowModel:
        """Fetched and loaded for longer than a decode may stand still."""

        def __enter__(self):
            threading.Event().wait(10 * SOON_S)
            return model

        def __exit__(self, *_):
            return False

    run_job(with_worker(worker, base=hasty, acquire_model=lambda *_, **__: SlowModel()))

    job = get_job(services, job_id)
    assert (job.status, job.attempt) == ("completed", 1)


class Stuck:
    """Work that hears nothing, in a process whose end is noted and survived by the test."""

    def __init__(self, services, job_id):
        self.found = None  # the job as it stood when the process was to end
        self._has_ended = threading.Event()
        self._services = services
        self._job_id = job_id

    def act(self, should_stop):
        assert self._has_ended.wait(PATIENCE_S), "the process was not ended"

    def end_process(self):
        if self.found is None:
            self.found = get_job(self._services, self._job_id)
        self._has_ended.set()


@pytest.fixture
def run_stuck(services, worker, model, submit):
    """Run work that ignores what it is told; returns the job and what the process left."""

    def run_stuck(*, before=lambda job_id: None, is_draining=lambda: False, **changes):
        job_id = submit()
        stuck = Stuck(services, job_id)

        def act(should_stop):
            before(job_id)
            stuck.act(should_stop)

        model.act = act
        hasty = by_settings(services, kill_stuck_after_s=SOON_S, **changes)
        child = {"base": hasty, "end_process": stuck.end_process, "is_draining": is_draining}
        run_job(with_worker(worker, **child))
        return stuck.found

    return run_stuck


def test_a_hung_decode_that_hears_nothing_is_handed_on_and_its_process_ended(
    services, model, run_stuck
):
    model.windows = 2

    found = run_stuck(stall_after_s=SOON_S)

    assert (found.status, found.error_type, found.attempt) == ("pending", "decode_stalled", 1)
    assert [w.number for w in kept(services, found.job_id)] == [0, 1]


def test_a_cancel_that_is_not_heard_ends_the_process(services, run_stuck):
    found = run_stuck(before=lambda job_id: cancel_job(services, job_id))

    assert found.status == "cancelled"


def test_a_worker_that_cannot_drain_gives_its_job_back_and_ends_the_process(run_stuck):
    found = run_stuck(is_draining=lambda: True)

    assert (found.status, found.attempt) == ("pending", 0)


def test_a_zombie_that_hears_nothing_ends_and_touches_nothing(services, run_stuck):
    found = run_stuck(before=lambda _: set_all(services, lease_token=Job.lease_token + 1))

    assert (found.status, found.attempt) == ("processing", 1)
    assert events_of(services, found.job_id) == ["submitted", "started"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it dies
def test_the_process_ends_also_when_the_database_stays_away(
    services, worker, model, submit, monkeypatch
):
    monkeypatch.setattr(transcription, "PERSIST_PATIENCE_S", SOON_S)
    monkeypatch.setattr(transcription, "PERSIST_RETRY_S", SOON_S)
    job_id = submit()
    outage = Outage(by_settings(services, kill_stuck_after_s=SOON_S, lease_s=SOON_S))
    has_ended = threading.Event()

    def hear_nothing(should_stop):
        outage.is_on = True
        assert has_ended.wait(PATIENCE_S), "the process was not ended"
        outage.is_on = False
        raise Stopped

    model.act = hear_nothing

    run_job(with_worker(worker, base=outage.services, end_process=has_ended.set))

    assert get_job(services, job_id).status == "processing"


def test_finished_work_that_waits_for_the_database_is_not_taken_for_stuck(
    services, worker, model, submit, monkeypatch
):
    """The outage is longer than the lease and the patience with stuck work together."""
    job_id = submit()
    outage = Outage(by_settings(services, kill_stuck_after_s=SOON_S, lease_s=2 * SOON_S))
    monkeypatch.setattr(transcription, "PERSIST_RETRY_S", SOON_S)
    killed = []

    def lose_the_database(should_stop):
        outage.is_on = True

    def come_back_after_many_tries():
        outage.is_on = outage.refused < 40

    model.act = lose_the_database
    outage.on_refusal = come_back_after_many_tries

    run_job(with_worker(worker, base=outage.services, end_process=lambda: killed.append(job_id)))

    assert killed == []
    assert get_job(services, job_id).status == "completed"
