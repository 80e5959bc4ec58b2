"""What the views of ElevenLabs' door call, in memory."""

from dataclasses import replace

from api.doors.elevenlabs import views
from domain.errors import OptionInvalid, ServerBusy
from tests.unit.api.fake_jobs import make_transcript


class Door:
    """Ends every job as a test says, and keeps what was asked."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.failure = None  # what waiting for the job ends with
        self.is_busy = False
        self.told = []
        self.kept = []  # whether a wait leaves its job alone

    def install(self, monkeypatch):
        for name in ("submit_once", "get_job", "cancel_job", "purge_job"):
            monkeypatch.setattr(views, name, getattr(self.jobs, name))
        for name in ("await_job", "finished_transcript", "require_capacity", "tell_endpoints"):
            monkeypatch.setattr(views, name, getattr(self, name))
        monkeypatch.setattr(views, "wait_for_change", self.finish_stopping)

    def await_job(self, job_id, *, keep):
        self.kept.append(keep)
        if self.failure is not None:
            raise self.failure
        job = self.jobs.jobs[job_id]
        submitted = self.jobs.submitted[-1]
        fields = {"door": submitted["door"], "door_fields": submitted["door_fields"]}
        self.jobs.jobs[job_id] = replace(job, status="completed", **fields)
        return self.jobs.jobs[job_id], make_transcript()

    def finished_transcript(self, _services, job_id, *, tenant):
        return self.jobs.get_job(None, job_id, tenant=tenant), make_transcript()

    def finish_stopping(self, _services, job_id, *, timeout_s, since, tenant):
        """Go on once more, and then stop."""
        changes = {"progress": 0.5} if since.progress == 0.0 else {"status": "cancelled"}
        self.jobs.jobs[job_id] = replace(since, **changes)
        return self.jobs.jobs[job_id]

    def require_capacity(self, _services):
        if self.is_busy:
            raise ServerBusy("too much to do", retry_after_s=17)

    def tell_endpoints(self, _services, tenant, **asked):
        if not asked["endpoint_id"]:
            self.told.append({"tenant": tenant, **asked})
            return {"url": None, "style": asked["style"], "data": asked["data"]}
        raise OptionInvalid("there is no webhook endpoint with this id", option="webhook_id")
