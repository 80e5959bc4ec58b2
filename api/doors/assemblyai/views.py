"""/v2/upload and /v2/transcript, as AssemblyAI's clients call them."""

from typing import Any
from uuid import UUID

from flask import Response, jsonify, request
from flask.views import MethodView

from api.client_id import CLIENT_PARAMETER, current_client
from api.current import current_principal, current_services, current_tenant
from api.doors.assemblyai import documents
from api.doors.assemblyai.body import Asked, options_for, read_body
from api.doors.assemblyai.errors import AssemblyBlueprint, answer
from api.doors.assemblyai.lists import page_of
from api.doors.assemblyai.recordings import find_recording, upload_url
from api.doors.assemblyai.shown import DOOR, shown
from api.doors.problem import answer_problems
from api.doors.submission import door_submission
from api.doors.waiting import JOB_HEADER
from api.idempotency import PARAMETER as IDEMPOTENCY_PARAMETER
from api.idempotency import idempotency_key, mark_replayed
from api.json_body import read_json
from api.schemas.base import NoQuerySchema
from api.transcriptions import parse_job_id
from api.uploads import limit_upload, receive_raw
from domain.lifecycle import JobStatus
from formats.doors.assemblyai import render_transcript
from services.assembly_uploads import keep_upload, note_use, require_place
from services.jobs import get_job, get_transcript, purge_job, submit_once
from services.webhooks.addresses import job_webhook

DELETED = {"text": "Deleted by user.", "audio_url": "http://deleted_by_user"}  # their own words

blp = AssemblyBlueprint(DOOR, __name__, description="AssemblyAI's API for recordings")
answer_problems(blp, answer)


@blp.before_request
def check_client() -> None:
    """Refuse a bad client id before anything is read."""
    current_client()


@blp.route("/v2/upload", parameters=[CLIENT_PARAMETER])
class Upload(MethodView):
    """Recordings that are to be transcribed later."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.doc(requestBody=documents.UPLOAD_BODY, responses=documents.UPLOADED)
    @blp.fails(*documents.UPLOAD_FAILURES)
    def post(self, _query: dict[str, Any]) -> Response:
        """Upload a recording, as AssemblyAI does.

        The answer is its address for `POST /v2/transcript`, good for UPLOAD_SESSION_HOURS and
        for as many transcripts as you like.
        """
        limit_upload()
        services, principal = current_services(), current_principal()
        require_place(services, principal.tenant)
        upload = receive_raw()
        upload_id = keep_upload(
            services,
            upload.commit(),
            tenant=principal.tenant,
            key_id=principal.key_id,
            content_type=request.mimetype or None,
        )
        return jsonify(upload_url=upload_url(upload_id))


@blp.route("/v2/transcript")
class Transcripts(MethodView):
    """The transcripts of a tenant."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.doc(
        parameters=[CLIENT_PARAMETER, IDEMPOTENCY_PARAMETER],
        requestBody=documents.ASK_BODY,
        responses=documents.TRANSCRIPT,
    )
    @blp.fails(*documents.ASK_FAILURES)
    def post(self, _query: dict[str, Any]) -> Response:
        """Ask for a transcript, as AssemblyAI does.

        The answer comes as soon as the recording is safe; a recording from elsewhere is fetched
        first. Look at the transcript until its status is `completed` or `error`.
        """
        idempotency_key()
        services = current_services()
        asked = read_body(read_json(request))
        options = options_for(services.settings, asked)
        webhook = _webhook(asked)
        recording = find_recording(asked.audio_url)
        submission = door_submission(
            DOOR,
            filename=recording.filename,
            content_type=recording.content_type,
            door_fields=asked.kept,
            webhook=webhook,
        )
        made = submit_once(services, recording.stored, options, submission)
        if recording.upload_id is not None:
            note_use(services, recording.upload_id, made.job_id)
        response = jsonify(look_at(made.job_id))
        response.headers[JOB_HEADER] = str(made.job_id)
        return mark_replayed(response) if made.is_replayed else response

    @blp.arguments(documents.ListQuerySchema, location="query")
    @blp.doc(responses=documents.TRANSCRIPTS)
    @blp.fails(*documents.LOOK_FAILURES)
    def get(self, query: dict[str, Any]) -> Response:
        """List transcripts, newest first, as AssemblyAI does."""
        return jsonify(page_of(query))


@blp.route("/v2/transcript/<string:transcript_id>")
class OneTranscript(MethodView):
    """One transcript."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.doc(responses=documents.TRANSCRIPT)
    @blp.fails(*documents.LOOK_FAILURES)
    def get(self, _query: dict[str, Any], transcript_id: str) -> Response:
        """Look at a transcript, as AssemblyAI does."""
        return jsonify(look_at(parse_job_id(transcript_id)))

    @blp.arguments(NoQuerySchema, location="query")
    @blp.doc(responses=documents.TRANSCRIPT)
    @blp.fails(*documents.LOOK_FAILURES, "job_state_conflict")
    def delete(self, _query: dict[str, Any], transcript_id: str) -> Response:
        """Remove a finished transcript with its recording, as AssemblyAI does.

        Unlike there nothing of it stays: its id is unknown from now on.
        """
        services, key, tenant = current_services(), parse_job_id(transcript_id), current_tenant()
        job = get_job(services, key, tenant=tenant)
        purge_job(services, key, tenant=tenant)
        return jsonify(render_transcript(shown(job), None) | DELETED)


def look_at(key: UUID) -> dict[str, Any]:
    """A transcript as it stands. Raises JobNotFound.

    Whoever may only submit sees no text, also where a repeated submission finds it there.
    """
    services, tenant = current_services(), current_tenant()
    job, transcript = get_job(services, key, tenant=tenant), None
    if job.status == JobStatus.COMPLETED and current_principal().may("read"):
        job, transcript = get_transcript(services, key, tenant=tenant)
    return render_transcript(shown(job), transcript)


def _webhook(asked: Asked) -> dict[str, Any] | None:
    if asked.webhook_url is None:
        return None
    return job_webhook(
        current_services(),
        asked.webhook_url,
        style=DOOR,
        headers=asked.webhook_headers,
        option="webhook_url",
    )
