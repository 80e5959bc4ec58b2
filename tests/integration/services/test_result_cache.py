"""Who asks for it gets the result of an equal job, and is told so."""

from dataclasses import replace
from io import BytesIO

import pytest
from sqlalchemy import select, update

from domain.errors import JobNotFound
from domain.options import TranscriptionOptions
from domain.submission import Submission
from models import JobEvent, TranscriptionJob, TranscriptionResult, UsageEntry
from services import jobs
from services.jobs import get_job, get_transcript, purge_job, submit_once
from services.transcription import run_job
from tests.integration.services.conftest import files_in, with_worker

REUSE = Submission(reuse_result=True)


@pytest.fixture
def fake(services):
    """Services of a server whose engine is the one that the fake model names."""
    settings = services.settings.model_copy(update={"whisper_engine": "fake"})
    return replace(services, settings=settings)


@pytest.fixture
def send(fake):
    def send(content=b"recording", *, of=REUSE, by=fake, **options):
        stored = by.storage.put(BytesIO(content), max_bytes=1_000_000)
        asked = TranscriptionOptions(**{"model_size": "base", **options})
        return submit_once(by, stored, asked, of)

    return send


@pytest.fixture
def done(send, worker, fake):
    """A completed job."""

    def done(**asked):
        made = send(**asked)
        run_job(with_worker(worker, base=fake))
        return made.job_id

    return done


def test_an_equal_job_is_completed_at_once_with_a_copy_that_says_so(
    services, send, done, published
):
    source = done()

    made = send()

    assert made.is_reused
    job, transcript = get_transcript(services, made.job_id)
    assert (job.status, job.progress, job.current_step) == ("completed", 1.0, "done")
    assert job.completed_at is not None
    assert transcript.segments == get_transcript(services, source)[1].segments
    assert [warning["code"] for warning in job.warnings] == ["result_reused"]
    assert str(source) in job.warnings[0]["message"]
    assert [job_id for job_id, _ in published] == [source]


def test_its_history_begins_with_its_end(services, send, done):
    source = done()

    made = send()

    with services.open_session() as session:
        events = session.scalars(select(JobEvent).where(JobEvent.job_id == made.job_id)).all()
    assert [(event.event, event.status) for event in events] == [("completed", "completed")]
    assert events[0].detail["reused_from"] == str(source)


def test_it_counts_as_audio_and_not_as_compute(services, send, done):
    done()

    made = send()

    with services.open_session() as session:
        query = select(UsageEntry).where(UsageEntry.job_id == made.job_id).order_by(UsageEntry.id)
        entries = {entry.kind: entry for entry in session.scalars(query)}
    assert (entries["submitted"].size_bytes, entries["submitted"].audio_s) == (9, 1.0)
    assert (entries["completed"].audio_s, entries["completed"].compute_s) == (1.0, 0.0)


def test_either_may_be_removed_without_the_other(services, send, done):
    source = done()
    made = send()

    purge_job(services, source)

    assert get_transcript(services, made.job_id)[1].text == "Hello there."
    assert len(files_in(services.storage.root)) == 1


def test_a_copy_of_a_copy_names_one_source(services, send, done):
    source = done()
    second = send()
    purge_job(services, source)

    third = send()

    warnings = get_job(services, third.job_id).warnings
    assert [warning["code"] for warning in warnings] == ["result_reused"]
    assert str(second.job_id) in warnings[0]["message"]


@pytest.mark.parametrize(
    "other",
    [
        {"content": b"another"},
        {"language": "de"},
        {"of": replace(REUSE, tenant="acme")},
        {"of": Submission()},
    ],
)
def test_without_an_equal_job_of_the_same_tenant_it_waits_as_any_other(services, send, done, other):
    done()

    made = send(**other)

    assert not made.is_reused
    assert get_job(services, made.job_id).status == "pending"


def test_a_job_that_is_not_finished_has_no_result_to_copy(services, send):
    send()

    assert not send().is_reused


def test_a_result_for_want_of_memory_or_of_another_engine_is_not_copied(services, send, done):
    source = done()

    assert not send(by=services).is_reused  # its engine is another one
    with services.open_session() as session:
        session.execute(
            update(TranscriptionResult)
            .where(TranscriptionResult.job_id == source)
            .values(fallbacks=[{"rung": "smaller_model"}])
        )
    assert not send().is_reused


def test_the_same_key_again_is_the_same_copy(services, send, done):
    done()
    keyed = replace(REUSE, idempotency_key="order-17")

    first, second = send(of=keyed), send(of=keyed)

    assert (first.is_replayed, second.is_replayed) == (False, True)
    assert (first.is_reused, second.is_reused) == (True, True)
    assert first.job_id == second.job_id


@pytest.mark.parametrize("of", [REUSE, replace(REUSE, idempotency_key="order-17")])
def test_a_source_that_is_removed_meanwhile_makes_a_job_that_waits(
    services, send, done, monkeypatch, of
):
    gone = done()
    find = jobs.find_result
    told = []

    def find_and_lose(*arguments):
        told.append(find(*arguments))
        if len(told) == 1:
            purge_job(services, gone)
        return told[-1]

    monkeypatch.setattr(jobs, "find_result", find_and_lose)

    made = send(of=of)

    assert told == [gone, None]
    assert (made.is_reused, get_job(services, made.job_id).status) == (False, "pending")
    with pytest.raises(JobNotFound):
        get_job(services, gone)
    with services.open_session() as session:
        assert len(session.scalars(select(TranscriptionJob.id)).all()) == 1
