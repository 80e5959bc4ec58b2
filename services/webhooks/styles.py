"""How a message is worded: our own way, and the ways that clients of other APIs expect.

A style renders the body when the event is found; the body is stored, and every attempt sends the
same bytes. Every message carries the headers of the Standard Webhooks specification. A style may
add headers of its own, which are made for each attempt, since signatures hold its time.
Endpoints of a tenant get the standard style; a job's own address names its style in
`transcription_jobs.webhook`, as the door sets it by which the job came.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from domain.transcript import Transcript
from services.views import JobView
from services.webhooks.callback_styles import assemblyai_body, deepgram_body
from services.webhooks.elevenlabs_style import elevenlabs_body, elevenlabs_headers
from services.webhooks.events import ENDS, PROGRESS, type_of
from services.webhooks.signing import Envelope

STANDARD = "standard"


@dataclass(frozen=True)
class Notice:
    """What happened to a job, for a style to put into words."""

    event: str  # one of EVENTS
    at: datetime
    job: JobView  # without its text; status and attempt are those of the event
    transcript: Transcript | None  # of a completed job, where the style needs it
    facts: Mapping[str, Any]  # of the event: reason, error_id, error_type, message, progress ...
    data: Mapping[str, Any]  # `data` of the job's webhook: what the door wants repeated


def no_headers(_envelope: Envelope) -> Mapping[str, str]:
    """Nothing beside the headers of the specification."""
    return {}


@dataclass(frozen=True)
class Style:
    """One way to word messages."""

    render: Callable[[Notice], Mapping[str, Any]]  # the body, as JSON types; raises nothing
    headers: Callable[[Envelope], Mapping[str, str]] = no_headers
    events: tuple[str, ...] = ENDS  # told when the address names none
    needs_transcript: bool = False


def render_standard(notice: Notice) -> dict[str, Any]:
    """The body of our own style: what happened to which job, never what was said in it."""
    job = notice.job
    data: dict[str, Any] = {
        "job_id": str(job.job_id),
        "status": job.status,
        "name": job.name,
        "labels": job.labels,
        "batch_id": None if job.batch_id is None else str(job.batch_id),
        "attempt": job.attempt,
    }
    if notice.event == PROGRESS:
        data |= {"progress": job.progress, "time_left_s": job.time_left_s}
    elif notice.event == "completed":
        data |= {
            "result": f"/transcribe/{job.job_id}/result",
            "duration": job.duration,
            "language": job.language,
            "model_used": job.model_used,
            "word_count": job.word_count,
        }
    elif notice.event in ("failed", "dead_lettered"):
        data |= {
            "error_type": notice.facts.get("error_type"),
            "error_message": notice.facts.get("message"),
            "reason": notice.facts.get("reason"),
        }
    if notice.data:
        data["metadata"] = dict(notice.data)
    return {"type": type_of(notice.event), "timestamp": moment(notice.at), "data": data}


def render_elevenlabs(notice: Notice) -> dict[str, Any]:
    """The body that ElevenLabs' clients read, with the transcript of a completed job."""
    return elevenlabs_body(
        notice.job, notice.transcript, notice.at, facts=notice.facts, data=notice.data
    )


def render_deepgram(notice: Notice) -> dict[str, Any]:
    """The body of Deepgram's callbacks: what the request would have been answered with."""
    return deepgram_body(notice.job, notice.transcript, facts=notice.facts)


def render_assemblyai(notice: Notice) -> dict[str, Any]:
    """The body of AssemblyAI's webhooks: id and status."""
    return assemblyai_body(notice.job)


def moment(at: datetime) -> str:
    """A time as messages write it: ISO 8601 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


# Doors add theirs here: one line each, their renderers stand in formats/doors.
STYLES: dict[str, Style] = {
    STANDARD: Style(render_standard),
    "elevenlabs": Style(render_elevenlabs, elevenlabs_headers, needs_transcript=True),
    "deepgram": Style(render_deepgram, needs_transcript=True),
    "assemblyai": Style(render_assemblyai),
}
