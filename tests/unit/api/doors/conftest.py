"""An application whose jobs end as a test says, at once."""

from uuid import uuid4

import pytest

import api.doors.waiting
from api.current import EVENTS
from services.event_hub import EventHub
from services.jobs import Submitted
from tests.unit.api.fake_jobs import make_transcript, make_view


class Outcome:
    """What becomes of the next job, and what was asked of it."""

    def __init__(self):
        self.job_id = uuid4()
        self.transcript = make_transcript(" Hello there.")
        self.error = None
        self.is_replayed = False
        self.submitted = []
        self.waits = []
        self.left = []

    def submit_once(self, services, stored, options, submission):
        with services.storage.local_path(stored.key) as path:
            services.probe(path)
        self.submitted.append({"stored": stored, "options": options, **vars(submission)})
        return Submitted(self.job_id, is_replayed=self.is_replayed)

    def await_transcript(self, services, job_id, **asked):
        self.waits.append(asked)
        return self.finished_transcript(services, job_id, tenant=asked["tenant"])

    def finished_transcript(self, services, job_id, *, tenant):
        assert job_id == self.job_id
        if self.error is not None:
            raise self.error
        return make_view(job_id=job_id, status="completed"), self.transcript

    def leave_job(self, services, job_id, *, tenant, keep):
        self.left.append((job_id, keep))


@pytest.fixture
def hub(app, services):
    made = EventHub(services)
    app.extensions[EVENTS] = made
    return made


@pytest.fixture
def outcome(hub, monkeypatch):
    """Stands in for the jobs of every door that waits."""
    made = Outcome()
    monkeypatch.setattr(api.doors.waiting, "await_transcript", made.await_transcript)
    return made
