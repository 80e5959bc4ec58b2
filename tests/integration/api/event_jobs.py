"""What workers do to jobs, for the tests that watch it, and how they watch."""

from dataclasses import asdict
from datetime import timedelta
from io import BytesIO
from uuid import UUID

import pytest

from api.current import EVENTS
from domain.lifecycle import Rank
from domain.transcript import Segment, Transcript
from models import TranscriptionWindow
from services import event_hub, lifecycle, queue_positions
from services.attempts import FailedAttempt
from services.history import record
from services.window_store import drop_windows
from tests.integration.api.event_reader import EventReader

WORKER = "host:1/2"
LEASE = timedelta(seconds=60)
FAILURE = FailedAttempt("engine_error", "EngineError", "it broke", "a stack", WORKER, 1.0)


@pytest.fixture
def hub(app, monkeypatch):
    """The hub of the application, in a hurry."""
    monkeypatch.setattr(event_hub, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(queue_positions, "READ_EVERY_S", 0.0)
    yield app.extensions[EVENTS]
    app.extensions[EVENTS].close()


@pytest.fixture
def listen(client, hub):
    """Opens a stream and returns its reader."""
    answers = []

    def listen(address, **options):
        answer = client.get(address, **options)
        answers.append(answer)
        assert answer.status_code == 200, answer.text
        return EventReader(answer.response)

    yield listen
    for answer in answers:
        answer.close()


@pytest.fixture
def work(services):
    return Work(services.open_session)


class Work:
    """One worker that does what the test says."""

    def __init__(self, session):
        self.session = session

    def claim(self):
        """Take the job that goes next."""
        with self.session() as session:
            claim = lifecycle.claim_next(session, Rank.RETRY, worker=WORKER, lease=LEASE)
        assert claim is not None
        return claim

    def keep(self, job_id, number, segments):
        """Save a window."""
        with self.session() as session:
            session.add(
                TranscriptionWindow(
                    job_id=job_id,
                    number=number,
                    lease_token=1,
                    engine="fake",
                    model_used="base",
                    next_seek=0,
                    segments=[asdict(segment) for segment in segments],
                    carried={},
                )
            )

    def restart(self, claim):
        """Begin again with the first window."""
        with self.session() as session:
            drop_windows(session, claim.job_id)
            record(session, claim.job_id, "restarted", "processing", claim.attempt, WORKER)

    def beat(self, claim, **seen):
        """Publish progress."""
        with self.session() as session:
            assert lifecycle.heartbeat(session, claim, lease=LEASE, **seen)

    def retry(self, claim, after_s=0.0):
        """Fail, to be tried again."""
        with self.session() as session:
            assert lifecycle.retry_later(session, claim, FAILURE, timedelta(seconds=after_s))

    def fail(self, claim):
        """Give up."""
        with self.session() as session:
            assert lifecycle.fail(session, claim, FAILURE, "gave up")

    def release(self, claim):
        """Hand the job back."""
        with self.session() as session:
            assert lifecycle.release(session, claim, "worker stops")

    def requeue(self, job_id):
        """What an operator does with a dead letter."""
        with self.session() as session:
            assert lifecycle.requeue_failed(session, job_id, actor="admin")

    def confirm_cancel(self, claim):
        """Obey."""
        with self.session() as session:
            assert lifecycle.confirm_cancel(session, claim)

    def complete(self, claim, segments):
        """Write the result."""
        transcript = Transcript(
            segments=tuple(segments),
            language="en",
            language_probability=0.9,
            task="transcribe",
            duration_s=60.0,
            model_requested="base",
            model_used="base",
            engine="fake",
            device="cpu",
        )
        with self.session() as session:
            assert lifecycle.complete(session, claim, transcript, 1.0)


def submit(client, **headers):
    """The id of a new job."""
    data = {"file": (BytesIO(b"recording"), "a.mp3")}
    answer = client.post("/transcribe/", data=data, headers=headers)
    assert answer.status_code == 202, answer.text
    return UUID(answer.json["job_id"])


def segments(first, count, **fields):
    """That many segments of a second each."""
    return [
        Segment(id=number, seek=0, start=number, end=number + 1.0, text=f" {number}.", **fields)
        for number in range(first, first + count)
    ]


def names(events):
    return [event.name for event in events]


def segment_ids(events):
    """The segments of a reader that begins again when it is told so."""
    found = []
    for event in events:
        if event.name in ("restarted", "requeued"):
            found = []
        if event.name == "segments":
            found += [segment["id"] for segment in event.data["segments"]]
    return found
