"""The stream of one job, over real Postgres."""

import threading
from uuid import uuid4

import pytest
from sqlalchemy import text

import database
from domain.transcript import Word
from models import TranscriptionJob
from services import event_feed, lifecycle
from services.history import note
from services.jobs import cancel_job
from tests.integration.api.conftest import wait_until
from tests.integration.api.event_jobs import (  # noqa: F401 - fixtures, found by their names
    WORKER,
    hub,
    listen,
    names,
    segment_ids,
    segments,
    submit,
    work,
)

TRANSITIONS = {
    "started",
    "retry",
    "released",
    "restarted",
    "requeued",
    "dead_lettered",
    "completed",
}


@pytest.fixture
def job(client):
    return submit(client)


def whole(listen, job, **options):  # noqa: F811 - pytest's way to ask for a fixture
    return list(listen(f"/transcribe/{job}/events", **options))


def test_a_job_is_told_from_queue_to_end_as_it_happens(listen, work, job):  # noqa: F811
    stream = listen(f"/transcribe/{job}/events")
    (queued,) = stream.read(1)
    mine = work.claim()
    started = stream.until("progress")
    work.keep(job, 0, segments(0, 2))
    (first,) = stream.read(1)
    work.beat(mine, progress=0.5, time_left_s=9.0)
    (progress,) = stream.read(1)
    work.complete(mine, segments(0, 3))
    rest = list(stream)

    assert (queued.name, queued.data["position"], queued.data["status"]) == ("queued", 1, "pending")
    assert names(started) == ["started", "progress"]
    assert (started[0].data["attempt"], started[0].data["worker"]) == (1, WORKER)
    assert first.data["segments"] == [
        {"id": 0, "start": 0, "end": 1.0, "text": " 0."},
        {"id": 1, "start": 1, "end": 2.0, "text": " 1."},
    ]
    assert (progress.name, progress.data["progress"]) == ("progress", 0.5)
    assert 0 <= progress.data["time_left_s"] <= 9
    assert names(rest) == ["segments", "completed"]
    assert segment_ids(rest) == [2]
    assert rest[-1].data["result"] == f"/transcribe/{job}/result"
    assert (rest[-1].data["model_used"], rest[-1].data["segments"]) == ("base", 3)


def test_who_comes_late_gets_everything_at_once(listen, work, job):  # noqa: F811
    work.release(work.claim())
    work.complete(work.claim(), segments(0, 1))

    events = whole(listen, job)

    assert names(events) == ["queued", "started", "released", "started", "segments", "completed"]
    assert [event.data.get("attempt") for event in events] == [0, 1, 0, 1, None, 1]


def test_who_comes_in_the_middle_gets_what_was_and_what_follows(listen, work, job):  # noqa: F811
    mine = work.claim()
    work.keep(job, 0, segments(0, 2))
    stream = listen(f"/transcribe/{job}/events")
    before = stream.until("progress")
    work.keep(job, 1, segments(2, 1))
    after = stream.until("segments")
    work.complete(mine, segments(0, 3))

    assert names(before) == ["queued", "started", "segments", "progress"]
    assert (segment_ids(before), segment_ids(after)) == ([0, 1], [2])
    assert names(stream) == ["completed"]


def test_a_failed_attempt_says_why_and_when_the_next_one_is(listen, work, job):  # noqa: F811
    work.retry(work.claim(), after_s=60)
    stream = listen(f"/transcribe/{job}/events")

    retry = stream.until("retry")[-1]

    assert (retry.data["error_type"], retry.data["message"]) == ("engine_error", "it broke")
    assert retry.data["next_attempt_at"] > retry.data["at"]


def test_a_job_that_is_given_up_is_failed_and_then_a_dead_letter(listen, work, job):  # noqa: F811
    work.fail(work.claim())

    events = whole(listen, job)

    assert names(events) == ["queued", "started", "failed", "dead_lettered"]
    failed, letter = events[-2:]
    assert (failed.data["error_type"], failed.data["message"]) == ("engine_error", "it broke")
    assert letter.data["reason"] == "gave up"
    assert letter.data["error_id"] > 0
    assert "a stack" not in str(events)


def test_a_cancelled_job_ends_its_stream(listen, services, work, job):  # noqa: F811
    stream = listen(f"/transcribe/{job}/events")
    mine = work.claim()
    cancel_job(services, job)
    asked = stream.until("cancel_requested")
    work.confirm_cancel(mine)
    ended = list(stream)

    assert "started" in names(asked)
    assert names(ended)[-1] == "cancelled"


def test_the_place_in_the_queue_is_told_anew_when_it_changes(client, listen, work, job):  # noqa: F811
    second = submit(client)
    stream = listen(f"/transcribe/{second}/events")
    (before,) = stream.read(1)
    work.claim()
    (after,) = stream.read(1)

    assert (before.name, before.data["position"]) == ("queued", 2)
    assert (after.name, after.data["position"]) == ("queued", 1)


def test_a_long_result_comes_in_pieces(listen, work, job):  # noqa: F811
    work.complete(work.claim(), segments(0, 250))

    events = whole(listen, job)

    lengths = [len(event.data["segments"]) for event in events if event.name == "segments"]
    assert lengths == [100, 100, 50]
    assert segment_ids(events) == [*range(250)]


def test_words_come_with_their_segments(listen, work, job):  # noqa: F811
    words = (Word(" one", 0.0, 0.5, 0.9),)
    work.complete(work.claim(), segments(0, 1, words=words))

    events = whole(listen, job)

    (segment,) = events[2].data["segments"]
    assert segment["words"] == [{"word": " one", "start": 0.0, "end": 0.5, "probability": 0.9}]


def test_after_a_restart_the_segments_begin_again(listen, work, job):  # noqa: F811
    mine = work.claim()
    work.keep(job, 0, segments(0, 2))
    work.keep(job, 1, segments(2, 2))
    stream = listen(f"/transcribe/{job}/events")
    before = stream.until("progress")
    work.restart(mine)
    work.keep(job, 0, segments(0, 1))
    after = stream.until("segments")
    work.complete(mine, segments(0, 2))

    assert segment_ids(before) == [0, 1, 2, 3]
    assert (names(after), segment_ids(after)) == (["restarted", "segments"], [0])
    assert segment_ids(stream) == [1]


def test_a_replayed_job_is_told_through_its_failure_to_its_end(listen, work, job):  # noqa: F811
    mine = work.claim()
    work.keep(job, 0, segments(0, 2))
    work.fail(mine)
    failed = whole(listen, job)
    work.requeue(job)
    work.complete(work.claim(), segments(0, 2))

    events = whole(listen, job)
    rest = whole(listen, job, headers={"Last-Event-ID": failed[-1].id})

    assert names(failed)[-3:] == ["segments", "failed", "dead_lettered"]
    assert names(events) == [
        *("queued", "started", "failed", "dead_lettered"),
        *("requeued", "started", "segments", "completed"),
    ]
    assert names(rest) == ["requeued", "started", "segments", "completed"]


def test_any_id_resumes_without_loss_or_repeat(listen, work, job):  # noqa: F811
    work.release(work.claim())
    mine = work.claim()
    work.keep(job, 0, segments(0, 2))
    stream = listen(f"/transcribe/{job}/events")
    seen = stream.until("segments")
    work.restart(mine)
    work.keep(job, 0, segments(0, 150))
    seen += stream.until("segments")
    work.complete(mine, segments(0, 151))
    seen += list(stream)

    def told(events):
        return [(e.name, e.id) for e in events if e.name in TRANSITIONS], segment_ids(events)

    assert segment_ids(seen) == [*range(151)]
    for count, event in enumerate(seen[:-1], start=1):
        rest = whole(listen, job, query_string={"last_event_id": event.id})
        assert told([*seen[:count], *rest]) == told(seen), event


def test_a_reader_that_has_everything_is_told_not_to_come_back(client, listen, work, job):  # noqa: F811
    work.complete(work.claim(), segments(0, 1))
    last_id = whole(listen, job)[-1].id

    answer = client.get(f"/transcribe/{job}/events", headers={"Last-Event-ID": last_id})

    assert (answer.status_code, answer.data) == (204, b"")


def test_the_header_counts_more_than_the_address(listen, work, job):  # noqa: F811
    work.complete(work.claim(), segments(0, 1))
    ids = [event.id for event in whole(listen, job)]

    rest = whole(
        listen, job, query_string={"last_event_id": ids[0]}, headers={"Last-Event-ID": ids[2]}
    )

    assert names(rest) == ["completed"]


@pytest.mark.parametrize(
    "last_id", ["x", "1", "1.", ".1", "1.2.3", "-1.0", "1.0x", "²." + "0", "9" * 19 + ".0"]
)
def test_an_id_that_no_stream_gave_is_refused(client, job, last_id):
    answer = client.get(f"/transcribe/{job}/events", query_string={"last_event_id": last_id})

    assert (answer.status_code, answer.json["code"]) == (422, "option_invalid")


def test_an_id_from_the_future_is_refused(client, hub, job):  # noqa: F811
    answer = client.get(f"/transcribe/{job}/events", headers={"Last-Event-ID": "9" * 18 + ".0"})

    assert (answer.status_code, answer.json["code"]) == (422, "option_invalid")
    assert hub.count == 0


@pytest.mark.parametrize("job_id", [uuid4(), "nonsense"])
@pytest.mark.parametrize("what", ["events", "history"])
def test_an_unknown_job_is_404_before_anything_begins(client, hub, what, job_id):  # noqa: F811
    answer = client.get(f"/transcribe/{job_id}/{what}")

    assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")
    assert hub.count == 0


def test_a_stream_ends_when_its_job_is_removed(listen, work, job):  # noqa: F811
    stream = listen(f"/transcribe/{job}/events")
    stream.read(1)
    with work.session() as session:
        session.delete(session.get(TranscriptionJob, job))

    assert list(stream) == []


def test_what_happens_during_a_look_is_left_to_the_next(listen, work, job, monkeypatch):  # noqa: F811
    mine = work.claim()
    read_windows = event_feed._read_windows

    def complete_meanwhile(session, wanted):
        if mine in unfinished:
            work.complete(unfinished.pop(), segments(0, 1))
        return read_windows(session, wanted)

    unfinished = [mine]
    monkeypatch.setattr(event_feed, "_read_windows", complete_meanwhile)

    events = whole(listen, job)

    assert names(events) == ["queued", "started", "progress", "segments", "completed"]


def test_a_note_waits_for_the_transition_that_is_written_at_the_same_time(listen, work, job):  # noqa: F811
    mine = work.claim()
    stream = listen(f"/transcribe/{job}/events")
    stream.until("progress")
    transition = database.SessionLocal()
    lifecycle.release(transition, mine, "worker stops")
    noting = threading.Thread(target=write_note, args=(work, job))
    noting.start()
    wait_until(lambda: is_waiting_for_a_lock(work), 30)
    transition.commit()
    transition.close()
    noting.join(30)

    told = stream.until("aged")

    assert [event.name for event in told if event.name in ("released", "aged")] == [
        "released",
        "aged",
    ]
    assert told[-1].data["status"] == "pending"


def write_note(work, job):  # noqa: F811
    with work.session() as session:
        note(session, job, "aged", actor="test")


def is_waiting_for_a_lock(work):  # noqa: F811
    with work.session() as session:
        return session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")) > 0


def test_two_readers_at_different_places_both_get_everything(listen, work, job):  # noqa: F811
    mine = work.claim()
    work.keep(job, 0, segments(0, 2))
    first = listen(f"/transcribe/{job}/events")
    seen_by_first = first.until("progress")
    work.keep(job, 1, segments(2, 2))
    second = listen(f"/transcribe/{job}/events", headers={"Last-Event-ID": seen_by_first[-1].id})
    seen_by_second = second.until("segments")
    work.complete(mine, segments(0, 5))

    assert segment_ids([*seen_by_first, *first]) == [0, 1, 2, 3, 4]
    assert segment_ids([*seen_by_first, *seen_by_second, *second]) == [0, 1, 2, 3, 4]
