"""What an unfinished job has decoded is kept, and the next attempt goes on from there."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import func, select, text, update

from domain.errors import AudioUnreadable, EngineError, Stopped
from domain.lifecycle import Rank
from domain.options import TranscriptionOptions
from domain.transcript import Segment, Word
from models import TranscriptionJob, TranscriptionWindow
from services import heartbeat, lifecycle, sweeps, window_store
from services.heartbeat import Heartbeat
from services.jobs import cancel_job, get_job, purge_job
from services.transcription import describe, run_job
from services.watchdog import StopReason
from services.window_store import count_windows, save_windows
from tests.integration.services.conftest import window, with_worker
from tests.integration.services.watching import (
    PATIENCE_S,
    Outage,
    await_that,
    events_of,
    history,
    kept,
)


@pytest.fixture(autouse=True)
def _beat_often(monkeypatch):
    monkeypatch.setattr("services.heartbeat.MIN_PUBLISH_GAP_S", 0.0)


def await_windows(services, job_id, count):
    await_that(lambda: len(kept(services, job_id)) == count)


def await_blocked(services):
    """Wait until a statement waits for a lock, or long enough to say that none will."""
    blocked = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype <> 'relation'")
    waiter = threading.Event()
    for _ in range(100):
        with services.open_session() as session:
            if session.scalar(blocked):
                return
        waiter.wait(0.01)


@pytest.fixture
def claim(services):
    def claim():
        with services.open_session() as session:
            return lifecycle.claim_next(
                session, Rank.RETRY, worker="host:1/2", lease=services.lease
            )

    return claim


@pytest.fixture
def beating(services):
    """A heartbeat for a claim, without the work."""

    def beating(mine, *, by=services):
        return Heartbeat(by, mine, is_draining=lambda: False, on_stuck=lambda: None)

    return beating


def impatient(services):
    settings = services.settings.model_copy(update={"cancel_force_after_s": 1e-9})
    return replace(services, settings=settings)


def fail_with(error):
    def act(should_stop):
        raise error

    return act


def retry_now(services):
    with services.open_session() as session:
        session.execute(update(TranscriptionJob).values(next_attempt_at=None))


@pytest.fixture
def without_beats(worker, monkeypatch):
    """A worker that ends its attempt before its heart beats at all."""
    monkeypatch.setattr("services.heartbeat.MIN_PUBLISH_GAP_S", 600.0)
    return worker


def test_windows_are_saved_while_the_job_is_decoded(services, worker, model, submit):
    job_id = submit()
    model.windows = 2
    model.act = lambda _: await_windows(services, job_id, 2)

    run_job(worker)

    assert get_job(services, job_id).status == "completed"


def test_a_released_job_goes_on_after_its_last_window(services, worker, model, submit):
    job_id = submit()
    model.windows = 3

    def be_told_to_stop(should_stop):
        await_windows(services, job_id, 3)
        assert should_stop()
        raise Stopped

    model.act = be_told_to_stop
    run_job(with_worker(worker, is_draining=lambda: True))
    model.act = lambda _: None

    run_job(worker)

    assert model.resumed == tuple(window(number) for number in range(3))
    assert get_job(services, job_id).status == "completed"
    assert events_of(services, job_id) == [
        "submitted",
        "started",
        "released",
        "started",
        "resumed",
        "completed",
    ]


def test_a_worker_that_stops_saves_what_no_heartbeat_saved(services, without_beats, model, submit):
    job_id = submit()
    model.windows = 3
    model.act = fail_with(Stopped())

    run_job(with_worker(without_beats, is_draining=lambda: True))

    assert get_job(services, job_id).status == "pending"
    assert len(kept(services, job_id)) == 3


@pytest.mark.parametrize("error", [EngineError("a fault"), AudioUnreadable("no frames")])
def test_an_attempt_that_fails_saves_what_no_heartbeat_saved(
    services, without_beats, model, submit, error
):
    job_id = submit()
    model.windows = 3
    model.act = fail_with(error)

    run_job(without_beats)

    assert len(kept(services, job_id)) == 3


def test_a_retry_goes_on_after_what_the_failed_attempt_decoded(services, worker, model, submit):
    job_id = submit()
    model.windows = 2
    model.act = fail_with(EngineError("a fault"))
    run_job(worker)
    retry_now(services)
    model.windows = 4

    run_job(worker)

    assert [w.number for w in model.resumed] == [0, 1]
    assert [w.number for w in kept(services, job_id)] == [0, 1, 2, 3]
    assert "restarted" not in events_of(services, job_id)


def test_a_worker_that_died_leaves_its_windows_to_the_next(services, worker, model, submit):
    job_id = submit()
    with services.open_session() as session:
        mine = lifecycle.claim_next(session, Rank.RETRY, worker="host:9/9", lease=services.lease)
        save_windows(session, job_id, mine.lease_token, [window(0), window(1)])
        session.execute(update(TranscriptionJob).values(lease_expires_at=func.now()))
    sweeps.reap_expired(services)
    retry_now(services)

    run_job(worker)

    assert [w.number for w in model.resumed] == [0, 1]


@pytest.mark.parametrize("made_by", [{"model": "tiny"}, {"engine": "another"}])
def test_windows_of_another_model_are_not_gone_on_from(services, worker, model, submit, made_by):
    job_id = submit()
    with services.open_session() as session:
        save_windows(session, job_id, 1, [window(0, **made_by), window(1, **made_by)])

    run_job(worker)

    assert model.resumed == ()
    assert "resumed" not in events_of(services, job_id)


def test_a_worker_whose_lease_was_lost_saves_no_windows(services, submit, claim, beating):
    job_id = submit()
    mine = claim()
    with services.open_session() as session:
        fence = {"lease_token": TranscriptionJob.lease_token + 1}
        session.execute(update(TranscriptionJob).values(**fence))

    with beating(mine) as heart:
        heart.keep(window(0))
        await_that(lambda: heart.stop_reason is StopReason.LEASE_LOST)

    assert kept(services, job_id) == ()


def test_a_zombie_does_not_touch_the_windows_of_the_next_attempt(services, submit, claim, beating):
    job_id = submit()
    zombie = claim()
    with services.open_session() as session:
        lifecycle.release(session, zombie, "worker stops")
    mine = claim()
    with services.open_session() as session:
        save_windows(session, job_id, mine.lease_token, [window(0), window(1)])

    with beating(zombie) as heart:
        heart.keep(window(0, model="tiny"))
        await_that(lambda: heart.stop_reason is StopReason.LEASE_LOST)

    assert kept(services, job_id) == (window(0), window(1))


def test_an_engine_that_starts_anew_drops_what_it_had_decoded(services, submit, claim, beating):
    job_id = submit()

    with beating(claim()) as heart:
        for number in range(4):
            heart.keep(window(number))
        await_windows(services, job_id, 4)
        heart.keep(window(0, model="tiny"))
        await_windows(services, job_id, 1)

    assert kept(services, job_id) == (window(0, model="tiny"),)
    [restarted] = [event for event in history(services, job_id) if event.event == "restarted"]
    assert (restarted.status, restarted.detail) == ("processing", {"model_used": "tiny"})


def test_an_engine_that_goes_back_a_little_drops_only_what_follows(
    services, submit, claim, beating
):
    job_id = submit()

    with beating(claim()) as heart:
        for number in range(4):
            heart.keep(window(number))
        await_windows(services, job_id, 4)
        heart.keep(window(2, model="tiny"))
        await_windows(services, job_id, 3)

    assert [(w.number, w.model_used) for w in kept(services, job_id)] == [
        (0, "base"),
        (1, "base"),
        (2, "tiny"),
    ]


def test_of_windows_that_were_decoded_twice_between_two_beats_the_later_are_kept(
    services, submit, claim
):
    job_id = submit()
    mine = claim()
    run = [window(0), window(1), window(2), window(0, model="tiny"), window(1, model="tiny")]

    with services.open_session() as session:
        is_replaced = save_windows(session, job_id, mine.lease_token, run)

    assert not is_replaced  # nobody had seen the first run
    assert kept(services, job_id) == (window(0, model="tiny"), window(1, model="tiny"))


@pytest.mark.parametrize("end", ["retry", "fail", "release"])
def test_windows_of_another_model_go_when_an_attempt_begins_anew_however_it_ends(
    services, without_beats, model, submit, end
):
    job_id = submit()
    with services.open_session() as session:
        save_windows(session, job_id, 1, [window(n, model="tiny") for n in range(2)])
    model.windows = 1
    errors = {"retry": EngineError("a fault"), "fail": AudioUnreadable("no"), "release": Stopped()}
    model.act = fail_with(errors[end])

    run_job(with_worker(without_beats, is_draining=lambda: end == "release"))

    told = [(line.event, line.status) for line in history(services, job_id)]
    assert told[2] == ("restarted", "processing")
    assert told[-1][0] in ("retry", "dead_lettered", "released")
    assert kept(services, job_id) == (window(0),)


def test_a_completed_job_keeps_no_windows(services, worker, model, submit):
    job_id = submit()
    model.windows = 2
    model.act = lambda _: await_windows(services, job_id, 2)

    run_job(worker)

    assert get_job(services, job_id).status == "completed"
    assert kept(services, job_id) == ()


def test_a_job_completed_while_its_windows_are_being_saved_keeps_none(
    services, worker, model, submit, monkeypatch
):
    job_id = submit()
    is_saving = threading.Event()
    save_progress = heartbeat.save_progress

    def save_slowly(session, claim, windows):
        save_progress(session, claim, windows)
        if windows:
            is_saving.set()
            await_blocked(services)  # the completion, by the row that this transaction holds

    monkeypatch.setattr(heartbeat, "save_progress", save_slowly)
    model.windows = 1
    model.act = lambda _: is_saving.wait(PATIENCE_S)

    run_job(worker)

    assert get_job(services, job_id).status == "completed"
    assert kept(services, job_id) == ()


@pytest.mark.parametrize(("options", "count"), [(None, 2), ({"model_size": "tiny"}, 0)])
def test_a_requeued_job_keeps_its_windows_unless_its_options_changed(
    services, submit, claim, options, count
):
    job_id = submit()
    mine = claim()
    with services.open_session() as session:
        save_windows(session, job_id, mine.lease_token, [window(0), window(1)])
        lifecycle.fail(session, mine, describe(AudioUnreadable("no"), mine.worker), "permanent")
    changed = options and TranscriptionOptions(**options).to_dict()

    with services.open_session() as session:
        assert lifecycle.requeue_failed(session, job_id, actor="admin", options=changed)

    assert len(kept(services, job_id)) == count


def test_characters_that_postgres_refuses_do_not_cost_the_window(services, submit, claim, beating):
    job_id = submit()
    segment = Segment(id=0, seek=0, start=0.0, end=1.0, text="a\x00b")
    odd = replace(window(0), segments=(segment,), carried={"context": ["c\x00d"]})

    with beating(claim()) as heart:
        heart.keep(odd)
        await_windows(services, job_id, 1)

    [found] = kept(services, job_id)
    assert (found.segments[0].text, found.carried) == ("ab", {"context": ["cd"]})


def test_a_window_comes_back_as_it_was_saved(services, submit, claim):
    job_id = submit()
    words = (Word(" one", 0.0, 0.5, 0.9), Word(" two", 0.5, 1.0, None))
    segment = Segment(
        id=3, seek=3000, start=30.1, end=31.0, text=" one two", tokens=(5, 6), words=words
    )
    whole = replace(window(0), segments=(segment,), carried={"prompt": [1, 2], "t": 0.2})

    with services.open_session() as session:
        save_windows(session, job_id, claim().lease_token, [whole])

    assert kept(services, job_id) == (whole,)


def test_windows_wait_for_a_database_that_is_away(services, submit, claim, beating):
    job_id = submit()
    outage = Outage(services)

    with beating(claim(), by=outage.services) as heart:
        outage.is_on = True
        for number in range(3):
            heart.keep(window(number))
            await_that(lambda seen=outage.refused: outage.refused > seen)
        outage.is_on = False
        await_windows(services, job_id, 3)

    assert kept(services, job_id) == (window(0), window(1), window(2))


def test_what_was_not_saved_when_the_work_ended_is_handed_over_in_order(
    services, submit, claim, beating
):
    submit()
    outage = Outage(services)

    with beating(claim(), by=outage.services) as heart:
        outage.is_on = True
        for number in range(3):
            heart.keep(window(number))
            await_that(lambda seen=outage.refused: outage.refused > seen)

    assert heart.take_windows() == [window(0), window(1), window(2)]
    assert heart.take_windows() == []


def test_a_window_that_comes_while_others_wait_stands_behind_them(services, submit, claim, beating):
    submit()
    outage = Outage(services)
    outage.is_on = True

    with beating(claim(), by=outage.services) as heart:
        outage.on_refusal = lambda: heart.keep(window(outage.refused))
        heart.keep(window(0))
        await_that(lambda: outage.refused >= 3)

    assert [w.number for w in heart.take_windows()] == [*range(outage.refused + 1)]


def test_what_one_job_may_keep_is_bounded(services, submit, claim, monkeypatch):
    monkeypatch.setattr(window_store, "MAX_WINDOWS", 3)
    job_id = submit()
    mine = claim()

    with services.open_session() as session:
        save_windows(session, job_id, mine.lease_token, [window(n) for n in range(5)])
        count = count_windows(session, job_id)

    assert count == (3, 90.0)


def test_windows_go_with_their_job(services, submit, claim):
    job_id = submit()
    with services.open_session() as session:
        save_windows(session, job_id, claim().lease_token, [window(0)])
    cancel_job(services, job_id)
    sweeps.force_cancels(impatient(services))

    purge_job(services, job_id)

    with services.open_session() as session:
        assert session.scalar(select(func.count()).select_from(TranscriptionWindow)) == 0


def test_a_restart_within_one_beat_of_the_end_is_told_before_the_job_is_done(
    services, without_beats, model, submit
):
    job_id = submit()
    with services.open_session() as session:
        save_windows(session, job_id, 1, [window(n) for n in range(2)])
    model.act = lambda should_stop: model.on_window(window(0, model="tiny"))

    run_job(without_beats)

    assert [line.event for line in history(services, job_id)] == [
        "submitted",
        "started",
        "resumed",
        "restarted",
        "completed",
    ]
