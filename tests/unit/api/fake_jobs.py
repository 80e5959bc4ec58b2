"""Jobs in memory: what the views of the API call, without a database."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import api.results
import api.transcriptions
from domain.errors import AudioGone, JobNotFound, JobStateConflict, ResultNotReady
from domain.lifecycle import JobStatus
from domain.transcript import Segment, Transcript
from services.jobs import Submitted
from services.recordings import AudioFile
from services.views import JobView

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def make_view(**fields: Any) -> JobView:
    """A pending job, with these fields changed."""
    everything = dict.fromkeys(JobView.__dataclass_fields__)
    return JobView(
        **{
            **everything,
            "job_id": uuid4(),
            "status": "pending",
            "progress": 0.0,
            "current_step": "queued",
            "created_at": NOW,
            "updated_at": NOW,
            "model_size": "base",
            "size_bytes": 3,
            "sha256": "00" * 32,
            "priority": "normal",
            "task": "transcribe",
            "options": {},
            "attempt": 0,
            "max_attempts": 5,
            "fallbacks": [],
            "warnings": [],
            "cancel_requested": False,
            **fields,
        }
    )


def make_transcript(text: str = " Hello there.") -> Transcript:
    """A transcript of one segment."""
    return Transcript(
        segments=(Segment(id=0, seek=0, start=0.0, end=1.5, text=text),),
        language="en",
        language_probability=0.9,
        task="transcribe",
        duration_s=1.5,
        model_requested="base",
        model_used="base",
        engine="fake",
        device="cpu",
    )


@dataclass
class FakeJobs:
    """Keeps jobs and what was asked of them."""

    jobs: dict[UUID, JobView] = field(default_factory=dict)
    submitted: list[dict[str, Any]] = field(default_factory=list)
    waited_s: list[float] = field(default_factory=list)

    def install(self, monkeypatch) -> None:
        """Stand in for the services in the views."""
        for name in ("submit_once", "get_job", "cancel_job", "purge_job", "wait_for_change"):
            monkeypatch.setattr(api.transcriptions, name, getattr(self, name))
        for name in ("get_transcript", "open_audio"):
            monkeypatch.setattr(api.results, name, getattr(self, name))

    def add(self, **fields: Any) -> JobView:
        job = make_view(**fields)
        self.jobs[job.job_id] = job
        return job

    def submit_once(self, services, stored, options, submission) -> Submitted:
        return Submitted(self.submit_job(services, stored, options, submission))

    def submit_job(self, services, stored, options, submission) -> UUID:
        with services.storage.local_path(stored.key) as path:
            services.probe(path)
        self.submitted.append({"stored": stored, "options": options, **vars(submission)})
        return self.add(filename=submission.filename, size_bytes=stored.size_bytes).job_id

    def get_job(self, services, job_id: UUID, *, tenant=None) -> JobView:
        if job_id not in self.jobs:
            raise JobNotFound("there is no job with this id")
        return self.jobs[job_id]

    def wait_for_change(self, services, job_id: UUID, *, timeout_s: float, tenant=None) -> JobView:
        self.waited_s.append(timeout_s)
        return self.get_job(services, job_id)

    def cancel_job(self, services, job_id: UUID, *, tenant=None, actor="api") -> JobView:
        job = self.get_job(services, job_id)
        if job.is_terminal:
            raise JobStateConflict(f"the job is {job.status}", status=job.status)
        waits = job.status == JobStatus.PENDING
        self.jobs[job_id] = (
            replace(job, status="cancelled") if waits else replace(job, cancel_requested=True)
        )
        return self.jobs[job_id]

    def purge_job(self, services, job_id: UUID, *, tenant=None) -> None:
        job = self.get_job(services, job_id)
        if not job.is_terminal:
            raise JobStateConflict(f"the job is {job.status}", status=job.status)
        del self.jobs[job_id]

    def get_transcript(self, services, job_id: UUID, *, tenant=None) -> tuple[JobView, Transcript]:
        job = self.get_job(services, job_id)
        if job.status != JobStatus.COMPLETED:
            raise ResultNotReady(f"the job is {job.status}", status=job.status)
        return job, make_transcript()

    def open_audio(self, services, job_id: UUID, *, tenant=None) -> AudioFile:
        job = self.get_job(services, job_id)
        for call in self.submitted:
            if call["stored"].sha256 == job.sha256:
                stream = services.storage.open(call["stored"].key)
                return AudioFile(stream, job.filename, job.content_type, job.size_bytes, job.sha256)
        raise AudioGone("the recording is no longer in the store")
