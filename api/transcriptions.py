"""/transcribe/: hand in a recording, follow its job, end it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from flask import Response, request, url_for
from flask.views import MethodView

from api.admission import outside
from api.blueprint import Blueprint
from api.client_id import CLIENT_PARAMETER, current_client
from api.current import current_principal, current_services, current_tenant
from api.idempotency import PARAMETER, REPLAYED, REPLAYED_HEADERS, idempotency
from api.long_poll import limit_wait
from api.multipart import FormFile
from api.schemas.jobs import DeleteQuerySchema, JobQuerySchema, JobSchema, SubmittedSchema
from api.schemas.options import (
    PutQuerySchema,
    SubmitFormSchema,
    SubmitQuerySchema,
    merge_given,
    options_from,
)
from api.submission_codes import SUBMISSION_CODES
from api.submissions import current_submission
from api.uploads import FORM_OVERHEAD_BYTES, limit_upload, receive_raw, require_bytes
from domain.errors import FileMissing, JobNotFound, OptionInvalid
from domain.filenames import clean_filename
from domain.lifecycle import JobStatus
from services.fetching import Fetched, fetch_recording
from services.jobs import cancel_job, get_job, purge_job, submit_once
from services.views import JobView
from services.waiting import wait_for_change

blp = Blueprint("transcriptions", __name__, description="Recordings in, transcripts out")

RAW_BODY = {
    "required": True,
    "description": "The recording, as it is",
    "content": {
        media_type: {"schema": {"type": "string", "format": "binary"}}
        for media_type in ("application/octet-stream", "audio/*", "video/*")
    },
}
SUBMITTED_HEADERS = {
    "Location": {"description": "The job", "schema": {"type": "string"}},
    **REPLAYED_HEADERS,
}


def parse_job_id(value: str) -> UUID:
    """The id in an address. Raises JobNotFound for what is no UUID: no job can have it."""
    try:
        return UUID(value)
    except ValueError as error:
        raise JobNotFound("there is no job with this id") from error


@blp.before_request
def bound_body() -> None:
    """Refuse a body that announces too much, or a bad client id, before anything is read."""
    if request.method in ("POST", "PUT"):
        current_client()
    if request.method == "POST":
        limit_upload(overhead_bytes=FORM_OVERHEAD_BYTES)
    elif request.method == "PUT":
        limit_upload()


@blp.route("/transcribe/", parameters=[CLIENT_PARAMETER, PARAMETER])
class Transcriptions(MethodView):
    """The door for recordings."""

    @blp.arguments(SubmitQuerySchema, location="query")
    @blp.arguments(SubmitFormSchema, location="multipart")
    @blp.response(202, SubmittedSchema, headers=SUBMITTED_HEADERS)
    @blp.fails(*SUBMISSION_CODES)
    def post(self, query: dict[str, Any], form: dict[str, Any]) -> Any:
        """Submit a recording as a form.

        Options may stand in the form or in the address; the same option in both must agree.
        The recording is the part `file`, or is fetched from `source_url`. The answer comes as
        soon as it is safe; follow the job at `Location`.
        """
        keep = recording_of(form.pop("file", None), form.pop("source_url", None))
        return submit(merge_given(query, form), keep)

    @blp.arguments(PutQuerySchema, location="query")
    @blp.doc(requestBody=RAW_BODY)
    @blp.response(202, SubmittedSchema, headers=SUBMITTED_HEADERS)
    @blp.fails(*SUBMISSION_CODES)
    def put(self, query: dict[str, Any]) -> Any:
        """Submit a recording as the raw body.

        As the form, for clients that stream: options stand in the address.
        """
        filename = clean_filename(query.pop("filename", None))
        file = FormFile(receive_raw(), filename, request.mimetype or None)
        return submit(query, partial(keep_file, file))


@blp.route("/transcribe/<string:job_id>")
class Transcription(MethodView):
    """One job."""

    @blp.arguments(JobQuerySchema, location="query")
    @blp.response(200, JobSchema)
    @blp.fails("job_not_found", "validation_error", "option_invalid", "database_unavailable")
    def get(self, query: dict[str, Any], job_id: str) -> JobView:
        """Look at a job: status, progress, and the text once it is completed."""
        services, key = current_services(), parse_job_id(job_id)
        wait_s = query.get("wait", 0)
        limit_wait(wait_s)
        return (
            wait_for_change(services, key, timeout_s=wait_s, tenant=current_tenant())
            if wait_s
            else get_job(services, key, tenant=current_tenant())
        )

    @blp.arguments(DeleteQuerySchema, location="query")
    @blp.response(200, JobSchema, description="Cancelled")
    @blp.alt_response(
        202, schema=JobSchema, description="Asked to stop; the worker obeys soon", success=True
    )
    @blp.alt_response(204, description="Removed (purge)", success=True)
    @blp.fails(
        "job_not_found",
        "job_state_conflict",
        "validation_error",
        "option_invalid",
        "database_unavailable",
    )
    def delete(self, query: dict[str, Any], job_id: str) -> Any:
        """Cancel a job that waits or runs; with `purge`, remove one that is finished."""
        services, key = current_services(), parse_job_id(job_id)
        if query["purge"]:
            purge_job(services, key, tenant=current_tenant())
            return Response(status=204)
        principal = current_principal()
        job = cancel_job(services, key, tenant=principal.tenant, actor=principal.actor)
        return job, 200 if job.status == JobStatus.CANCELLED else 202


def recording_of(file: FormFile | None, source_url: str | None) -> Callable[[], Fetched]:
    """What brings the recording into the store. Raises FileMissing, OptionInvalid for two."""
    if file is not None and source_url is not None:
        raise OptionInvalid("send file or source_url, not both", option="source_url")
    if source_url is not None:
        return partial(keep_source, source_url)
    if file is None:
        raise FileMissing("the form has no part named 'file', and no source_url", option="file")
    require_bytes(file.upload)
    return partial(keep_file, file)


def keep_file(file: FormFile) -> Fetched:
    """Make an upload a stored recording."""
    return Fetched(file.upload.commit(), file.filename, file.content_type)


def keep_source(url: str) -> Fetched:
    """Fetch a recording; others are served meanwhile."""
    with outside(request.environ):
        return fetch_recording(current_services(), url)


def submit(
    given: dict[str, Any], keep: Callable[[], Fetched]
) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Keep a recording and make it a job, after all else about the request was found good."""
    services = current_services()
    options = options_from(given, default_model=services.settings.model_size)
    submission = current_submission(given, once=idempotency())
    recording = keep()
    submission = replace(
        submission, filename=recording.filename, content_type=recording.content_type
    )
    made = submit_once(services, recording.stored, options, submission)
    where = url_for("transcriptions.Transcription", job_id=made.job_id)
    receipt = {
        "job_id": made.job_id,
        "status": JobStatus.COMPLETED if made.is_reused else JobStatus.PENDING,
        "message": f"{'completed already' if made.is_reused else 'queued'}; see {where}",
    }
    return receipt, 202, {"Location": where, **(REPLAYED if made.is_replayed else {})}
