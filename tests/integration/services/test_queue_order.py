"""Which job goes next: urgent first, retried last, and clients in turns."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text, update

from config import QUEUE_HIGH, QUEUE_NORMAL, QUEUE_RETRY
from domain.lifecycle import JobStatus, Priority, Rank, rank_of
from domain.options import TranscriptionOptions
from domain.submission import Submission
from models import TranscriptionJob
from services import lifecycle, sweeps, transcription
from services.attempts import FailedAttempt
from services.jobs import cancel_job, get_job, set_priority, submit_job
from services.queue_order import take_turn
from services.transcription import run_job, run_waiting

Job = TranscriptionJob
LEASE = timedelta(seconds=60)
FAULT = FailedAttempt("engine_error", "EngineError", "a fault", None, "host:1/1", None)
LONG_AGO = func.now() - timedelta(days=1)


@pytest.fixture
def enqueue(services):
    """Put many jobs of one client in line, without recordings."""

    def enqueue(client, count, *, priority=Priority.NORMAL, weight=1.0):
        rank = rank_of(priority, 0)
        options = TranscriptionOptions("base").to_dict()
        ids = []
        with services.open_statement() as session:
            for _ in range(count):
                values = {
                    "id": uuid4(),
                    "client": client,
                    "priority": priority,
                    "rank": rank,
                    "turn": take_turn(session, client, rank, weight),
                    "model_size": "base",
                    "language": None,
                    "options": options,
                    "original_filename": None,
                    "content_type": None,
                    "file_path": "none",
                    "size_bytes": 1,
                    "sha256": "none",
                    "duration_s": 1.0,
                    "request_id": None,
                    "max_attempts": 5,
                    **Submission().columns(),
                }
                lifecycle.create(session, values, detail={})
                ids.append(values["id"])
        return ids

    return enqueue


@pytest.fixture
def claim(services):
    def claim(rank=Rank.RETRY, worker="host:1/1"):
        with services.open_statement() as session:
            return lifecycle.claim_next(session, rank, worker=worker, lease=LEASE)

    return claim


@pytest.fixture
def served(services, claim):
    """The clients of the next `count` jobs, in the order in which they start."""

    def served(count):
        ids = [claim().job_id for _ in range(count)]
        with services.open_session() as session:
            clients = dict(session.execute(select(Job.id, Job.client)).all())
        return [clients[job_id] for job_id in ids]

    return served


def grow_old(services, *job_ids):
    with services.open_session() as session:
        session.execute(update(Job).where(Job.id.in_(job_ids)).values(waiting_since=LONG_AGO))


def aging(services, seconds=3600.0):
    return replace(services, settings=services.settings.model_copy(update={"age_after_s": seconds}))


def fail_once(services, claim):
    """Let the next job meet a fault, and its retry come due; returns its id."""
    mine = claim()
    with services.open_session() as session:
        assert lifecycle.retry_later(session, mine, FAULT, timedelta())
    sweeps.dispatch_pending(services)
    return mine.job_id


def test_a_client_with_a_single_job_does_not_wait_behind_a_thousand(enqueue, served):
    enqueue("many", 1_000)
    served(10)

    enqueue("one", 1)

    assert "one" in served(2)


def test_clients_take_turns(enqueue, served):
    for client in ("a", "b", "c"):
        enqueue(client, 10)

    order = served(30)

    assert [set(order[i : i + 3]) for i in range(0, 30, 3)] == [{"a", "b", "c"}] * 10


def test_a_client_of_weight_three_gets_three_jobs_for_one_of_another(enqueue, served):
    enqueue("light", 30)
    enqueue("heavy", 30, weight=3.0)

    assert Counter(served(40)) == {"heavy": 30, "light": 10}


def test_weights_hold_at_every_moment_and_not_only_in_the_end(enqueue, served):
    enqueue("light", 30)
    enqueue("heavy", 30, weight=3.0)

    order = served(40)

    for start in range(0, 36, 4):
        assert 2 <= order[start : start + 4].count("heavy") <= 4


def test_the_weights_are_those_of_the_settings(services, served):
    settings = services.settings.model_copy(update={"client_weights": "heavy=3"})
    weighted = replace(services, settings=settings)
    for client in ["light", "heavy"] * 6:
        stored = services.storage.put(BytesIO(b"recording"), max_bytes=100)
        submit_job(weighted, stored, TranscriptionOptions("base"), Submission(client=client))

    assert Counter(served(8)) == {"heavy": 6, "light": 2}


def test_a_client_that_was_idle_has_saved_up_nothing(enqueue, served):
    enqueue("idle", 1)
    enqueue("busy", 60)
    served(41)

    enqueue("idle", 20)

    assert Counter(served(20)) == {"idle": 10, "busy": 10}


def test_an_empty_queue_does_not_send_those_who_were_served_to_the_back(enqueue, served):
    enqueue("early", 20)
    served(20)

    enqueue("late", 10)
    enqueue("early", 10)

    assert Counter(served(10)) == {"early": 5, "late": 5}


def test_urgent_jobs_take_turns_of_their_own(enqueue, served):
    enqueue("a", 5, priority=Priority.HIGH)
    enqueue("b", 5, priority=Priority.HIGH)
    enqueue("a", 5)
    enqueue("b", 5)

    order = served(20)

    assert Counter(order[:10]) == Counter(order[10:]) == {"a": 5, "b": 5}


def test_urgent_jobs_start_before_all_others_and_retried_ones_after(services, enqueue, claim):
    enqueue("a", 1)
    retried = fail_once(services, claim)
    normal = enqueue("a", 3)
    urgent = enqueue("b", 3, priority=Priority.HIGH)

    order = [claim().job_id for _ in range(7)]

    assert order == [*urgent, *normal, retried]


def test_an_urgent_job_stays_urgent_when_it_is_retried(services, enqueue, claim):
    [urgent] = enqueue("a", 1, priority=Priority.HIGH)
    assert fail_once(services, claim) == urgent
    enqueue("a", 1)

    assert claim(Rank.HIGH).job_id == urgent


def test_a_slot_for_urgent_jobs_takes_no_other(services, enqueue, claim):
    enqueue("a", 1)
    fail_once(services, claim)
    [normal] = enqueue("a", 1)
    [old] = enqueue("b", 1)
    grow_old(services, old)
    assert sweeps.age_waiting(aging(services)) == 1

    assert claim(Rank.HIGH) is None
    assert claim().job_id == old
    assert claim().job_id == normal


def test_a_slot_for_new_jobs_takes_no_retried_one(services, enqueue, claim):
    enqueue("a", 1)
    fail_once(services, claim)

    assert claim(Rank.NORMAL) is None


def test_what_waited_too_long_is_not_starved_by_urgent_jobs(services, enqueue, claim):
    enqueue("flood", 5, priority=Priority.HIGH)
    [old, young] = enqueue("patient", 2)
    for _ in range(2):
        claim()
    grow_old(services, old)

    aged = sweeps.age_waiting(aging(services))
    order = [claim().job_id for _ in range(5)]

    assert aged == 1
    assert old in order[:2]
    assert order[-1] == young


def test_nothing_ages_unless_it_is_asked_for(services, enqueue, claim):
    [old] = enqueue("patient", 1)
    grow_old(services, old)
    [urgent] = enqueue("flood", 1, priority=Priority.HIGH)

    assert sweeps.age_waiting(services) == 0
    assert [claim().job_id, claim().job_id] == [urgent, old]


def test_an_aged_job_is_rung_for_again(services, enqueue, published):
    [old] = enqueue("patient", 1)
    grow_old(services, old)

    sweeps.age_waiting(aging(services))
    sweeps.dispatch_pending(services)

    assert published == [(old, QUEUE_NORMAL)]


def test_a_job_made_urgent_goes_next_and_one_made_normal_goes_behind(services, enqueue, claim):
    first, second, third = enqueue("a", 3)
    [urgent] = enqueue("a", 1, priority=Priority.HIGH)

    set_priority(services, third, Priority.HIGH)
    set_priority(services, urgent, Priority.NORMAL)

    assert [claim().job_id for _ in range(4)] == [third, first, second, urgent]


def test_a_moved_job_is_rung_for_where_a_worker_may_take_it(services, enqueue, published):
    [job_id] = enqueue("a", 1)

    for priority in (Priority.HIGH, Priority.NORMAL):
        set_priority(services, job_id, priority)

    assert published == [(job_id, QUEUE_HIGH), (job_id, QUEUE_NORMAL)]


def test_a_retried_job_that_is_moved_is_rung_for_where_a_worker_may_take_it(
    services, enqueue, claim, published
):
    enqueue("a", 1)
    retried = fail_once(services, claim)
    published.clear()

    for priority in (Priority.HIGH, Priority.NORMAL):
        set_priority(services, retried, priority)

    assert published == [(retried, QUEUE_HIGH), (retried, QUEUE_RETRY)]


def test_racing_workers_take_every_job_once(services, enqueue):
    ids = enqueue("a", 15) + enqueue("b", 10, priority=Priority.HIGH)
    start = threading.Barrier(8)
    taken = []

    def work(worker):
        start.wait()
        while True:
            with services.open_statement() as session:
                mine = lifecycle.claim_next(session, Rank.RETRY, worker=worker, lease=LEASE)
            if mine is None:
                return
            taken.append(mine.job_id)

    threads = [threading.Thread(target=work, args=(f"host:1/{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == sorted(ids)


def test_racing_submissions_of_one_client_take_turns_of_their_own(services, enqueue):
    threads = [threading.Thread(target=enqueue, args=("a", 5)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with services.open_session() as session:
        turns = session.scalars(select(Job.turn).order_by(Job.turn)).all()
    assert turns == [float(turn) for turn in range(30)]


def test_a_claim_passes_over_a_job_that_somebody_else_is_changing(services, enqueue, claim):
    locked, free = enqueue("a", 2)

    with services.open_session() as session:
        session.execute(select(Job.id).where(Job.id == locked).with_for_update())
        meanwhile = claim()

    assert meanwhile.job_id == free
    assert claim().job_id == locked


def test_a_job_whose_history_is_being_written_can_be_claimed(services, enqueue, claim):
    [job_id] = enqueue("a", 1)

    with services.open_session() as session:
        lifecycle.record(session, job_id, "noted", JobStatus.PENDING, 0, "admin")
        meanwhile = claim()

    assert meanwhile.job_id == job_id


def test_a_job_that_has_used_up_its_attempts_is_never_claimed(services, enqueue, claim):
    [job_id] = enqueue("a", 1)
    with services.open_session() as session:
        session.execute(text("UPDATE transcription_jobs SET attempt = max_attempts"))

    assert claim() is None
    assert get_job(services, job_id).status == "pending"


def test_one_message_serves_all_that_wait_and_is_spent(services, worker, submit, published):
    jobs = [submit() for _ in range(3)]
    urgent = submit(placed={"priority": Priority.HIGH})
    published.clear()
    worked_on = []

    run_waiting(worker, jobs[0], QUEUE_NORMAL, on_job=worked_on.append)

    assert [job for job in worked_on if job] == [urgent, *jobs]
    assert published == []


def test_a_message_whose_time_is_up_is_sent_on(worker, submit, published, monkeypatch):
    monkeypatch.setattr(transcription, "TASK_S", 0.0)
    first, _ = submit(), submit()
    published.clear()
    worked_on = []

    run_waiting(worker, first, QUEUE_NORMAL, on_job=worked_on.append)

    assert [job for job in worked_on if job] == [first]
    assert published == [(first, QUEUE_NORMAL)]


def test_a_worker_that_is_told_to_stop_sends_its_message_on(services, worker, submit, published):
    first, second = submit(), submit()
    published.clear()

    run_waiting(replace(worker, is_draining=lambda: True), first, QUEUE_NORMAL)

    assert published == [(first, QUEUE_NORMAL)]
    assert get_job(services, second).status == "pending"


def test_a_message_for_urgent_jobs_leaves_the_others_to_their_own(worker, submit, published):
    normal = submit()
    urgent = submit(placed={"priority": Priority.HIGH})
    worked_on = []

    run_waiting(worker, urgent, QUEUE_HIGH, on_job=worked_on.append)

    assert [job for job in worked_on if job] == [urgent]
    assert run_job(worker, QUEUE_NORMAL) == normal


def test_no_message_is_sent_on_when_nothing_waits(services, worker, submit, published):
    job_id = submit()
    cancel_job(services, job_id)
    published.clear()

    run_waiting(worker, job_id, QUEUE_NORMAL)

    assert published == []


def test_every_message_in_the_wrong_order_still_runs_every_job(worker, submit, published):
    """Messages of the lowest queue come first, as after a worker that was cut off."""
    ids = [submit(placed={"priority": priority}) for priority in [*Priority] * 3]
    messages = sorted(published, key=lambda message: message[1], reverse=True)
    published.clear()

    ran = []
    while messages:
        job_id, queue = messages.pop(0)
        run_waiting(worker, job_id, queue, on_job=ran.append)
        messages += published
        published.clear()

    assert sorted(filter(None, ran)) == sorted(ids)
