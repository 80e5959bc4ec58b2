"""`POST /v1/listen`, as Deepgram's clients call it."""

from contextlib import nullcontext
from typing import Any

from flask import Response, jsonify, request
from flask.views import MethodView
from werkzeug.exceptions import UnsupportedMediaType

from api.admission import outside
from api.client_id import current_client
from api.credentials import parameters_of
from api.current import current_services
from api.doors.deepgram.documents import ANSWER, FAILURES, PARAMETERS, RECORDING
from api.doors.deepgram.errors import DeepgramBlueprint, answer
from api.doors.deepgram.query import Listen, options_for, read_query
from api.doors.problem import Refused, answer_problems
from api.doors.submission import door_submission
from api.doors.waiting import JOB_HEADER, await_job, is_job_kept, waiting_place
from api.idempotency import idempotency_key, mark_replayed
from api.json_body import read_json
from api.uploads import limit_upload, receive_raw
from domain.lifecycle import Priority
from domain.options import TranscriptionOptions
from formats.doors.deepgram import render_accepted, render_listen
from services.backlog import require_capacity
from services.fetching import Fetched, fetch_recording
from services.jobs import Submitted, submit_once
from services.webhooks.addresses import job_webhook

DOOR = "deepgram"

blp = DeepgramBlueprint(DOOR, __name__, description="Deepgram's API for recordings")
answer_problems(blp, answer)


@blp.before_request
def bound_body() -> None:
    """Refuse a body that announces too much before anything is read."""
    current_client()
    # A browser that asks for leave sends nothing; an address fits into any request.
    if request.method == "POST" and not request.is_json:
        limit_upload()


@blp.route("/v1/listen")
class ListenView(MethodView):
    """The one call: a recording in, its transcript out."""

    @blp.doc(parameters=PARAMETERS, requestBody=RECORDING, responses={"200": ANSWER})
    @blp.fails(*FAILURES)
    def post(self) -> Response:
        """Transcribe a recording, as Deepgram does.

        The body is the recording itself, or JSON with its `url`. The answer is the transcript,
        or with a `callback` at once the id under which it will be sent there.
        """
        services = current_services()
        is_job_kept()
        idempotency_key()
        asked = read_query(parameters_of(request))
        options = options_for(services.settings, asked)
        webhook = _webhook(asked)
        if webhook is None:
            require_capacity(services)
        with waiting_place() if webhook is None else nullcontext():
            made = _submit(asked, options, webhook)
            body = _await_answer(made, asked) if webhook is None else render_accepted(made.job_id)
        response = jsonify(body)
        response.headers[JOB_HEADER] = str(made.job_id)
        return mark_replayed(response) if made.is_replayed else response


def _submit(
    asked: Listen, options: TranscriptionOptions, webhook: dict[str, Any] | None
) -> Submitted:
    recording = _receive()
    submission = door_submission(
        DOOR,
        filename=recording.filename,
        content_type=recording.content_type,
        door_fields=asked.kept,
        priority=Priority.HIGH if webhook is None else Priority.NORMAL,
        labels=asked.labels,
        webhook=webhook,
    )
    return submit_once(current_services(), recording.stored, options, submission)


def _receive() -> Fetched:
    """The recording of this request, in the store; its name and its type where they are known."""
    if request.is_json:
        url = _url()
        with outside(request.environ):
            return fetch_recording(current_services(), url)
    if request.mimetype == "multipart/form-data":
        raise UnsupportedMediaType("send the recording itself as the body, not a form")
    return Fetched(receive_raw().commit(), None, request.mimetype or None)


def _url() -> str:
    body = read_json(request)
    if not isinstance(body, dict) or not isinstance(body.get("url"), str):
        raise Refused("url", 'the JSON body names the recording: {"url": "https://..."}')
    for name in body:
        if name != "url":
            raise Refused(str(name), "the JSON body has a url alone; options stand in the address")
    return str(body["url"])


def _webhook(asked: Listen) -> dict[str, Any] | None:
    if asked.callback is None:
        return None
    return job_webhook(current_services(), asked.callback, style=DOOR, option="callback")


def _await_answer(made: Submitted, asked: Listen) -> dict[str, Any]:
    job, transcript = await_job(made.job_id, keep=made.is_replayed)
    return render_listen(
        transcript,
        request_id=made.job_id,
        sha256=job.sha256,
        created_at=job.created_at,
        asked=asked.kept,
    )
