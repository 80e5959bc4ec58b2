"""/v1/speech-to-text and its transcripts, as ElevenLabs' clients call them."""

import time
from contextlib import nullcontext, suppress
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, request
from flask.views import MethodView
from marshmallow import fields

from api.admission import outside
from api.blueprint import Blueprint
from api.client_id import CLIENT_PARAMETER, current_client
from api.current import current_principal, current_services, current_tenant
from api.doors.elevenlabs.forms import load_form
from api.doors.elevenlabs.problems import HTTP_STATUS_OF_CODE, render_problem
from api.doors.elevenlabs.recordings import store_recording
from api.doors.elevenlabs.schemas import (
    ConvertFormSchema,
    ConvertQuerySchema,
    ElevenLabsDeletedSchema,
    ElevenLabsErrorSchema,
    ElevenLabsTranscriptionSchema,
    ElevenLabsWebhookReceiptSchema,
)
from api.doors.elevenlabs.translation import door_fields_of, options_of
from api.doors.form import Pairs
from api.doors.problem import answer_problems
from api.doors.submission import door_submission
from api.doors.waiting import (
    JOB_HEADER,
    JOB_HEADERS,
    KEEP_PARAMETER,
    await_job,
    is_job_kept,
    waiting_place,
)
from api.idempotency import PARAMETER as IDEMPOTENCY_PARAMETER
from api.idempotency import REPLAYED_HEADERS, idempotency_key, mark_replayed
from api.schemas.base import NoQuerySchema
from api.submission_codes import (
    BODY_CODES,
    OPTION_CODES,
    RECORDING_CODES,
    SOURCE_CODES,
    STORAGE_CODES,
    TENANT_CODES,
)
from api.transcriptions import parse_job_id
from api.uploads import FORM_OVERHEAD_BYTES, limit_upload
from domain.errors import JobStateConflict, ResultNotReady
from domain.lifecycle import Priority
from formats.doors.elevenlabs import render_transcription
from services.backlog import require_capacity
from services.jobs import Submitted, cancel_job, get_job, purge_job, submit_once
from services.log_context import current_request_id
from services.synchronous import Finished, finished_transcript
from services.views import JobView
from services.waiting import wait_for_change
from services.webhooks.told_at_endpoints import tell_endpoints

DOOR = "elevenlabs"
DELETE_WAIT_S = 10.0  # a worker asked to stop does so between two windows


class ElevenLabsBlueprint(Blueprint):
    """Documents failures in this API's shape."""

    ERROR_SCHEMA = ElevenLabsErrorSchema

    def status_of(self, code: str) -> int:
        """Ours, but for what ElevenLabs answers otherwise."""
        return HTTP_STATUS_OF_CODE.get(code) or super().status_of(code)


blp = ElevenLabsBlueprint(DOOR, __name__, description="ElevenLabs' API for recordings")
answer_problems(blp, render_problem)

FORM = {
    "required": True,
    "content": {"multipart/form-data": {"schema": ConvertFormSchema}},
}
FAILURES = (
    *BODY_CODES,
    *OPTION_CODES,
    "idempotency_conflict",
    "file_missing",
    *SOURCE_CODES,
    *RECORDING_CODES,
    *TENANT_CODES,
    "server_busy",
    "too_many_streams",
    "job_cancelled",
    *STORAGE_CODES,
    "database_unavailable",
)


@blp.route(
    "/v1/speech-to-text", parameters=[CLIENT_PARAMETER, KEEP_PARAMETER, IDEMPOTENCY_PARAMETER]
)
class SpeechToText(MethodView):
    """The one call: a recording in, its transcript out."""

    @blp.arguments(ConvertQuerySchema, location="query")
    @blp.doc(requestBody=FORM)
    @blp.response(200, ElevenLabsTranscriptionSchema, headers=JOB_HEADERS | REPLAYED_HEADERS)
    @blp.alt_response(
        202, schema=ElevenLabsWebhookReceiptSchema, description="With `webhook=true`", success=True
    )
    @blp.fails(*FAILURES)
    def post(self, _query: dict[str, Any]) -> Response:
        """Transcribe a recording, as ElevenLabs does.

        The answer is the transcript; with `webhook=true` it comes at once, and the transcript
        goes to the webhook endpoints of the tenant.
        """
        limit_upload(overhead_bytes=FORM_OVERHEAD_BYTES)
        current_client()
        is_job_kept()
        idempotency_key()
        form = load_form(ConvertFormSchema(), before_file=_require_capacity)
        is_webhook = bool(form.get("webhook"))
        with nullcontext() if is_webhook else waiting_place():
            made = submit(form)
            response = _receipt(made) if is_webhook else _await_answer(made)
        response.headers[JOB_HEADER] = str(made.job_id)
        return mark_replayed(response) if made.is_replayed else response


@blp.route("/v1/speech-to-text/transcripts/<string:transcription_id>")
class Transcript(MethodView):
    """One transcript that was made before."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, ElevenLabsTranscriptionSchema)
    @blp.fails(
        "job_not_found",
        "result_not_ready",
        "job_cancelled",
        "option_invalid",
        "database_unavailable",
    )
    def get(self, _query: dict[str, Any], transcription_id: str) -> Response:
        """Fetch a transcript, as ElevenLabs does."""
        services, key = current_services(), parse_job_id(transcription_id)
        job = get_job(services, key, tenant=current_tenant())
        if not job.is_terminal:
            raise ResultNotReady(f"the transcription is {job.status}", status=job.status)
        return _answer(finished_transcript(services, key, tenant=current_tenant()))

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, ElevenLabsDeletedSchema)
    @blp.fails("job_not_found", "job_state_conflict", "option_invalid", "database_unavailable")
    def delete(self, _query: dict[str, Any], transcription_id: str) -> Response:
        """Remove a transcript with its recording, as ElevenLabs does.

        One that is not finished is cancelled first.
        """
        services, key = current_services(), parse_job_id(transcription_id)
        tenant = current_tenant()
        job = get_job(services, key, tenant=tenant)
        if not job.is_terminal:
            with suppress(JobStateConflict):  # it has ended meanwhile
                job = cancel_job(services, key, tenant=tenant, actor=current_principal().actor)
            _await_end(job)
        purge_job(services, key, tenant=tenant)
        return jsonify(ElevenLabsDeletedSchema().dump({"message": "the transcript was deleted"}))


def _require_capacity(before_file: Pairs) -> None:
    """Let nobody send a recording who would wait too long for its transcript."""
    if not any(n == "webhook" and v in fields.Boolean.truthy for n, v in before_file):
        require_capacity(current_services())


def submit(form: dict[str, Any]) -> Submitted:
    """Make the request a job. Raises as `submit_once`, and for what cannot be done as asked."""
    services = current_services()
    options = options_of(services.settings, form)
    is_webhook = bool(form.get("webhook"))
    webhook = _webhook(form) if is_webhook else None
    recording = store_recording(form)
    submission = door_submission(
        DOOR,
        filename=recording.filename,
        content_type=recording.content_type,
        door_fields=door_fields_of(form),
        priority=Priority.NORMAL if is_webhook else Priority.HIGH,
        webhook=webhook,
    )
    return submit_once(services, recording.stored, options, submission)


def _await_end(job: JobView) -> None:
    """Wait until a job that was asked to stop has stopped, but not for long."""
    deadline = time.monotonic() + DELETE_WAIT_S
    with outside(request.environ):
        while not job.is_terminal and (left_s := deadline - time.monotonic()) > 0:
            job = wait_for_change(
                current_services(), job.job_id, timeout_s=left_s, since=job, tenant=job.tenant
            )


def _webhook(form: dict[str, Any]) -> dict[str, Any]:
    return tell_endpoints(
        current_services(),
        current_tenant(),
        style=DOOR,
        data={"metadata": form.get("webhook_metadata")},
        endpoint_id=form.get("webhook_id"),
    )


def _await_answer(made: Submitted) -> Response:
    # Of an earlier request whose client may wait as well.
    return _answer(await_job(made.job_id, keep=made.is_replayed))


def _answer(finished: Finished) -> Response:
    job, transcript = finished
    kept = job.door_fields if job.door == DOOR else {}
    return jsonify(render_transcription(transcript, transcription_id=str(job.job_id), fields=kept))


def _receipt(made: Submitted) -> Response:
    request_id = current_request_id()
    if made.is_replayed:  # the webhook names the request that made the job
        job = get_job(current_services(), made.job_id, tenant=current_tenant())
        request_id = job.request_id
    body = {
        "message": "the transcript will be sent to the webhook endpoints",
        "request_id": request_id,
        "transcription_id": str(made.job_id),
    }
    response = jsonify(ElevenLabsWebhookReceiptSchema().dump(body))
    response.status_code = HTTPStatus.ACCEPTED
    return response
