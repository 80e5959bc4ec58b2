"""/v1/audio/transcriptions and /v1/jobs/stats, as Dalston's clients call them."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from flask import Response, request, url_for
from flask.views import MethodView

from api.blueprint import Blueprint
from api.current import current_principal, current_services, current_tenant
from api.doors.native.problems import answer
from api.doors.native.schemas import (
    FORMATS,
    NativeAudioSchema,
    NativeCancelledSchema,
    NativeErrorSchema,
    NativeExportQuerySchema,
    NativeJobSchema,
    NativeListQuerySchema,
    NativeListSchema,
    NativePatchSchema,
    NativeStatsSchema,
)
from api.doors.problem import Refused, answer_problems
from api.filenames import attachment
from api.schemas.base import NoQuerySchema
from api.transcriptions import parse_job_id
from config import Settings
from domain.errors import AudioGone, JobStateConflict, ResultNotReady
from domain.lifecycle import JobStatus
from domain.transcript import Transcript
from formats import registry
from formats.doors.native import NativeJob, render_job, render_summary, status_word
from services.job_edits import recording_removed_at, remove_recording, rename_job
from services.job_lists import JobFilter, list_jobs
from services.job_stats import JobStats, job_stats
from services.jobs import cancel_job, get_job, get_transcript, purge_job
from services.single_use_tokens import issue_token
from services.views import JobView

TOKEN_S = 900
STATUS_OF_WORD = {"running": JobStatus.PROCESSING.value}
WITH_LINES = ("srt", "vtt")
TEXT = {"type": "string"}
READ = ("job_not_found", "validation_error", "option_invalid", "database_unavailable")


class NativeBlueprint(Blueprint):
    """Documents failures in this API's shape."""

    ERROR_SCHEMA = NativeErrorSchema


blp = NativeBlueprint("native_jobs", __name__, description="Dalston's API for jobs")
answer_problems(blp, answer)


@blp.route("/v1/audio/transcriptions")
class Jobs(MethodView):
    """All jobs; a submission at this address is seen to by OpenAI's door."""

    @blp.arguments(NativeListQuerySchema, location="query")
    @blp.response(200, NativeListSchema)
    @blp.fails("validation_error", "option_invalid", "cursor_invalid", "database_unavailable")
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List jobs, newest first, by whatever door they came."""
        word = query.get("status")
        status = STATUS_OF_WORD.get(word, word) if word else None
        page = list_jobs(
            current_services(),
            JobFilter(tenant=current_tenant(), status=status),
            cursor=query.get("cursor"),
            limit=query["limit"],
        )
        jobs = [render_summary(native(job)) for job in page.jobs]
        return {"jobs": jobs, "cursor": page.next_cursor, "has_more": page.has_more}


@blp.route("/v1/audio/transcriptions/<string:job_id>")
class Job(MethodView):
    """One job."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, NativeJobSchema)
    @blp.fails("job_not_found", "option_invalid", "database_unavailable")
    def get(self, _query: dict[str, Any], job_id: str) -> dict[str, Any]:
        """Look at a job, with its transcript once it is completed."""
        return show(parse_job_id(job_id))

    @blp.arguments(NativePatchSchema, location="json")
    @blp.response(200, NativeJobSchema)
    @blp.fails(*READ, "request_invalid", "media_type_unsupported")
    def patch(self, name: str, job_id: str) -> dict[str, Any]:
        """Change what people call a job."""
        key = parse_job_id(job_id)
        rename_job(current_services(), key, name, tenant=current_tenant())
        return show(key)

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(204, description="Removed, with its transcript and recording")
    @blp.fails("job_not_found", "job_state_conflict", "option_invalid", "database_unavailable")
    def delete(self, _query: dict[str, Any], job_id: str) -> Response:
        """Remove a job that is finished."""
        purge_job(current_services(), parse_job_id(job_id), tenant=current_tenant())
        return Response(status=204)


@blp.route("/v1/audio/transcriptions/<string:job_id>/cancel")
class Cancellation(MethodView):
    """The end of a job before its time."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, NativeCancelledSchema)
    @blp.fails("job_not_found", "job_state_conflict", "option_invalid", "database_unavailable")
    def post(self, _query: dict[str, Any], job_id: str) -> dict[str, Any]:
        """Cancel a job that waits or runs."""
        asks = current_principal()
        job = cancel_job(
            current_services(), parse_job_id(job_id), tenant=asks.tenant, actor=asks.actor
        )
        is_over = job.status == JobStatus.CANCELLED
        return {
            "id": job.job_id,
            "status": status_word(job.status, is_cancel_requested=job.cancel_requested),
            "message": "cancelled" if is_over else "asked to stop; the worker obeys soon",
        }


@blp.route("/v1/audio/transcriptions/<string:job_id>/audio")
class Audio(MethodView):
    """The recording of a finished job."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, NativeAudioSchema)
    @blp.fails(
        "job_not_found",
        "job_state_conflict",
        "audio_gone",
        "option_invalid",
        "scope_missing",
        "database_unavailable",
    )
    def get(self, _query: dict[str, Any], job_id: str) -> dict[str, Any]:
        """Get an address where the recording can be fetched, once and without a key."""
        services, key = current_services(), parse_job_id(job_id)
        job = get_job(services, key, tenant=current_tenant())
        if not job.is_terminal:
            raise JobStateConflict(f"the job is {job.status}, thus not finished", status=job.status)
        if recording_removed_at(services, key):
            raise AudioGone("the recording was removed")
        return {"url": audio_url(key), "expires_in": TOKEN_S, "type": "original"}

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(204, description="The recording is removed, the transcript stays")
    @blp.fails(
        "job_not_found",
        "job_state_conflict",
        "audio_gone",
        "option_invalid",
        "storage_error",
        "database_unavailable",
    )
    def delete(self, _query: dict[str, Any], job_id: str) -> Response:
        """Remove the recording of a finished job."""
        asks = current_principal()
        remove_recording(
            current_services(), parse_job_id(job_id), tenant=asks.tenant, actor=asks.actor
        )
        return Response(status=204)


@blp.route("/v1/audio/transcriptions/<string:job_id>/export/<string:format_name>")
class Export(MethodView):
    """A transcript as a file."""

    @blp.arguments(NativeExportQuerySchema, location="query")
    @blp.response(200, {"type": "object"}, description="The transcript")
    @blp.alt_response(200, schema=TEXT, content_type="text/plain", success=True)
    @blp.alt_response(200, schema=TEXT, content_type="application/x-subrip", success=True)
    @blp.alt_response(200, schema=TEXT, content_type="text/vtt", success=True)
    @blp.fails(*READ, "result_not_ready")
    def get(self, query: dict[str, Any], job_id: str, format_name: str) -> Response:
        """Export a transcript as txt, json, srt or vtt."""
        if format_name not in FORMATS:
            raise Refused("format", f"there are {', '.join(FORMATS)}, and no {format_name[:40]!r}")
        services, key = current_services(), parse_job_id(job_id)
        job, transcript = get_transcript(services, key, tenant=current_tenant())
        chosen = registry.FORMATS[format_name]
        limits = (
            {"max_line_width": query["max_line_length"], "max_line_count": query["max_lines"]}
            if format_name in WITH_LINES
            else {}
        )
        text = registry.render(transcript, format_name, **limits)
        response = Response(text, mimetype=chosen.media_type)
        response.headers["Content-Disposition"] = attachment(
            job.filename, fallback=str(job.job_id), extension=chosen.extension
        )
        return response


@blp.route("/v1/jobs/stats")
class Stats(MethodView):
    """Counts."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, NativeStatsSchema)
    @blp.fails("option_invalid", "database_unavailable")
    def get(self, _query: dict[str, Any]) -> JobStats:
        """Count the jobs that run and wait, and what ended today."""
        return job_stats(current_services(), tenant=current_tenant())


def show(key: UUID) -> dict[str, Any]:
    """A job of the current tenant, with its transcript where it has one. Raises JobNotFound.

    Whoever may only submit sees no transcript, also where his own change is answered.
    """
    services, tenant = current_services(), current_tenant()
    transcript: Transcript | None = None
    if current_principal().may("read"):
        with suppress(ResultNotReady):
            _, transcript = get_transcript(services, key, tenant=tenant)
    job = get_job(services, key, tenant=tenant)
    return render_job(native(job, removed_at=recording_removed_at(services, key)), transcript)


def native(job: JobView, *, removed_at: Any = None) -> NativeJob:
    """What this API shows of a job."""
    return NativeJob(
        job_id=job.job_id,
        status=job.status,
        name=job.name,
        filename=job.filename,
        created_at=job.created_at,
        started_at=job.started_at,
        completed_at=job.completed_at,
        model=job.model_used or job.model_size,
        error=job.error_message,
        progress=job.progress,
        current_step=job.current_step,
        language=job.language,
        duration_s=job.duration,
        word_count=job.word_count,
        cancel_requested=job.cancel_requested,
        door_fields=job.door_fields,
        kept_days=kept_days(current_services().settings, job.status),
        recording_removed_at=removed_at,
    )


def kept_days(settings: Settings, status: str) -> int:
    """How long a job that ends so is kept; 0 is for ever."""
    is_failed = status == JobStatus.FAILED
    return settings.keep_failed_days if is_failed else settings.keep_finished_days


def audio_url(key: UUID) -> str:
    """The recording's address with a token that lets one request in. Raises ScopeMissing."""
    services = current_services()
    url = request.host_url.rstrip("/") + url_for("results.Audio", job_id=key)
    if services.settings.auth == "off":
        return url
    issued = issue_token(services, current_principal(), ["read"], ttl_s=TOKEN_S)
    return f"{url}?token={issued.token}"
