"""What Deepgram's callbacks and AssemblyAI's webhooks say.

https://developers.deepgram.com/docs/callback, https://www.assemblyai.com/docs/deployment/webhooks
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from domain.lifecycle import JobStatus
from domain.transcript import Transcript
from formats.doors.assemblyai import render_notice
from formats.doors.deepgram import render_error, render_listen
from services.views import JobView


def deepgram_body(
    job: JobView, transcript: Transcript | None, *, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The answer that the request would have had: the transcript, or why there is none."""
    if transcript is None:
        return render_error(
            HTTPStatus.BAD_REQUEST,
            str(facts.get("error_type") or f"job_{job.status}"),
            str(facts.get("message") or f"the job was {job.status}"),
            str(job.job_id),
        )
    return render_listen(
        transcript,
        request_id=job.job_id,
        sha256=job.sha256,
        created_at=job.created_at,
        asked=job.door_fields,
    )


def assemblyai_body(job: JobView) -> dict[str, Any]:
    """Which transcript has ended, and how; its text is to be fetched with a key."""
    return render_notice(job.job_id, JobStatus(job.status))
