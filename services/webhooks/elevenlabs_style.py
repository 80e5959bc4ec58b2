"""What a webhook says and how it is signed, as ElevenLabs' clients expect.

https://elevenlabs.io/docs/overview/administration/webhooks
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain.transcript import Transcript
from formats.doors.elevenlabs import render_transcription, render_webhook
from services.views import JobView
from services.webhooks.signing import Envelope

SIGNATURE_HEADER = "ElevenLabs-Signature"


def elevenlabs_body(
    job: JobView,
    transcript: Transcript | None,
    at: datetime,
    *,
    facts: Mapping[str, Any],
    data: Mapping[str, Any],
) -> dict[str, Any]:
    """The body that tells of the end of a job. Without a transcript it says why there is none."""
    transcription = None
    if transcript is not None:
        transcription = render_transcription(
            transcript, transcription_id=str(job.job_id), fields=job.door_fields
        )
    body = render_webhook(
        transcription,
        request_id=job.request_id or "",
        metadata=data.get("metadata"),
        timestamp_s=int(at.timestamp()),
    )
    if transcript is None:
        # Theirs tells of finished ones alone; nobody should wait for ever.
        body["data"]["transcription_id"] = str(job.job_id)
        body["data"]["error"] = {
            "code": facts.get("error_type") or f"job_{job.status}",
            "message": facts.get("message") or f"the transcription was {job.status}",
        }
    return body


def elevenlabs_headers(envelope: Envelope) -> dict[str, str]:
    """Their own signature: of the time and the body, by the secret as it was shown.

    Their client looks at the last signature alone: while two secrets overlap that is the one by
    the newer, and the older one's stands before it for other readers.
    """
    signed = f"{envelope.timestamp}.".encode() + envelope.body
    signatures = [
        f"v0={hmac.new(secret.encode(), signed, 'sha256').hexdigest()}"
        for secret in reversed(envelope.secrets)
    ]
    return {SIGNATURE_HEADER: ",".join([f"t={envelope.timestamp}", *signatures])}
