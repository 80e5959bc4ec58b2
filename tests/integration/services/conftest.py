"""Real Postgres under every test here; the engine, the decoder and the broker are fakes."""

import os
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, text

import database
from audio.decode import DecodedAudio
from audio.probe import AudioProbe
from config import CONSUMED_QUEUES, get_settings
from domain.lifecycle import TRANSITIONS, JobStatus
from domain.options import TranscriptionOptions
from domain.submission import Submission
from domain.transcript import Segment, Transcript
from domain.windows import Window, ignore_window
from models import Base, JobEvent
from services.context import Services
from services.jobs import submit_job
from services.worker_context import WorkerServices
from storage.local import LocalStorage

TABLES = ", ".join(table.name for table in Base.metadata.sorted_tables)


@pytest.fixture(scope="session")
def session_settings(migrated_database, redis_url):
    os.environ.update(
        DATABASE_URL=migrated_database,
        REDIS_URL=redis_url,
        ADMIN_API_KEY="0123456789abcdef",
        LIMIT_REQUESTS_PER_MINUTE="0",  # all tests together are one tenant
    )
    get_settings.cache_clear()
    database.dispose_engine()
    yield get_settings()
    database.dispose_engine()


@pytest.fixture
def published():
    return []


@pytest.fixture
def services(session_settings, published, tmp_path):
    settings = session_settings.model_copy(
        update={"retry_base_s": 0.001, "retry_cap_s": 0.001, "heartbeat_s": 0.05, "lease_s": 5.0}
    )
    empty_tables()  # a worker takes the best job there is, and that must not be another test's
    yield Services(
        settings=settings,
        open_session=database.get_db_session,
        storage=LocalStorage(tmp_path / "store", min_free_bytes=0),
        publish=lambda job_id, queue: published.append((job_id, queue)),
        probe=lambda path: AudioProbe(1.0, "wav", "pcm_s16le", 16_000, 1),
        queue_depths=lambda: dict.fromkeys(CONSUMED_QUEUES, 0),
    )
    with database.get_db_session() as session:
        assert_only_known_ways(session)
    empty_tables()


def empty_tables():
    with database.get_db_session() as session:
        session.execute(text(f"TRUNCATE {TABLES} CASCADE"))
        session.execute(text("INSERT INTO tenants (name) VALUES ('default')"))  # as migrated


def assert_only_known_ways(session):
    """Every status that follows another in a job's history is one that TRANSITIONS allows."""
    events = session.scalars(select(JobEvent).order_by(JobEvent.job_id, JobEvent.id)).all()
    for before, after in pairwise(events):
        if before.job_id == after.job_id and before.status != after.status:
            assert JobStatus(after.status) in TRANSITIONS[JobStatus(before.status)]


def window(number, *, model="base", engine="openai_whisper"):
    """The kept window number `number` of thirty seconds each."""
    text = f" Window {number}."
    segment = Segment(id=number, seek=0, start=30.0 * number, end=30.0 * (number + 1), text=text)
    return Window(
        number=number,
        next_seek=3000 * (number + 1),
        engine=engine,
        model_used=model,
        segments=(segment,),
        carried={"context_from": number},
    )


class FakeModel:
    """Says one sentence, or does what the test put into `act`."""

    def __init__(self):
        self.calls = 0
        self.windows = 0  # kept before it acts
        self.resumed = ()
        self.act = lambda should_stop: None
        self.coverage = None

    model_size = "base"
    device = "cpu"

    def transcribe(
        self, audio, options, *, on_progress, should_stop, on_window=ignore_window, resume=()
    ):
        self.calls += 1
        self.resumed = tuple(resume)
        self.on_window = on_window
        on_progress(0.5)
        for number in range(len(resume), self.windows):
            on_window(window(number))
        self.act(should_stop)
        segment = Segment(
            id=0, seek=0, start=0.0, end=1.0, text=" Hello there.", tokens=(1, 2), avg_logprob=-0.1
        )
        return Transcript(
            segments=(segment,),
            language="en",
            language_probability=0.9,
            task=options.task,
            duration_s=len(audio) / 16_000,
            model_requested=options.model_size,
            model_used=options.model_size,
            engine="fake",
            device="cpu",
            coverage=self.coverage,
        )


@pytest.fixture
def model():
    return FakeModel()


@pytest.fixture
def dead_letters():
    return []


@pytest.fixture
def worker(services, model, dead_letters):
    @contextmanager
    def acquire_model(model_size, **_):
        yield model

    return WorkerServices(
        base=services,
        worker="host:1/2",
        decode=lambda path, **_: DecodedAudio(
            samples=np.zeros(16_000, dtype=np.float32), duration_s=1.0, warnings=()
        ),
        acquire_model=acquire_model,
        describe_hosts=list,
        is_draining=lambda: False,
        publish_dead_letter=dead_letters.append,
    )


@pytest.fixture
def submit(services):
    def submit(*, content=b"recording", placed=None, **options):
        placed = placed or {}
        stored = services.storage.put(BytesIO(content), max_bytes=1_000_000)
        asked = TranscriptionOptions(**{"model_size": "base", **options})
        return submit_job(services, stored, asked, Submission(filename="talk.wav", **placed))

    return submit


def with_worker(worker, **changes):
    return replace(worker, **changes)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
