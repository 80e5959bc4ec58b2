"""POST /v1/audio/transcriptions and /translations, as OpenAI's clients call them."""

from typing import Any

from flask import Response, request
from flask.views import MethodView
from marshmallow import Schema

from api.client_id import CLIENT_PARAMETER, current_client
from api.current import current_services
from api.doors.form import Pairs, names_of, receive_door_form, values_of
from api.doors.native.schemas import NativeCreatedSchema
from api.doors.native.submit import NAMES as NATIVE_NAMES
from api.doors.native.submit import accept, is_native
from api.doors.openai.blueprint import make_blueprint
from api.doors.openai.requests import AudioRequest, read_transcription, read_translation
from api.doors.openai.schemas import (
    MAX_KEYWORDS,
    OpenAITranscriptionFormSchema,
    OpenAITranscriptionSchema,
    OpenAITranslationFormSchema,
    OpenAIVerboseTranscriptionSchema,
)
from api.doors.openai.streaming import answer_as_stream
from api.doors.openai.submitting import submit
from api.doors.waiting import (
    JOB_HEADER,
    JOB_HEADERS,
    KEEP_PARAMETER,
    await_job,
    is_job_kept,
    waiting_place,
)
from api.idempotency import PARAMETER, REPLAYED_HEADERS, mark_replayed
from api.multipart import FILE, MAX_PARTS, Form
from api.schemas.base import NoQuerySchema
from api.sse import MEDIA_TYPE
from api.submission_codes import (
    BODY_CODES,
    OPTION_CODES,
    RECORDING_CODES,
    STORAGE_CODES,
    TENANT_CODES,
)
from api.uploads import FORM_OVERHEAD_BYTES, limit_upload
from domain.errors import FileMissing
from formats.doors.openai import render_answer
from services.backlog import require_capacity

blp = make_blueprint("openai", "OpenAI's API for recordings")

TRANSCRIPTION, TRANSLATION = OpenAITranscriptionFormSchema(), OpenAITranslationFormSchema()
PARAMETERS = [KEEP_PARAMETER, CLIENT_PARAMETER, PARAMETER]
HEADERS = {**JOB_HEADERS, **REPLAYED_HEADERS}
TEXT = {"type": "string"}
TEXTS = ("text/plain", "application/x-subrip", "text/vtt")
CODES = (
    *BODY_CODES,
    *OPTION_CODES,
    "file_missing",
    *RECORDING_CODES,
    *TENANT_CODES,
    "job_cancelled",
    "idempotency_conflict",
    "server_busy",
    "too_many_streams",
    "database_unavailable",
    *STORAGE_CODES,
)


def form_of(schema: Schema) -> dict[str, Any]:
    """The specification of a form."""
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


@blp.before_request
def bound_body() -> None:
    """Refuse what no form could mend before the body is read."""
    current_client()
    is_job_kept()
    if request.method == "POST":  # a browser that asks for leave sends no body
        limit_upload(overhead_bytes=FORM_OVERHEAD_BYTES)


@blp.route("/v1/audio/transcriptions")
class Transcriptions(MethodView):
    """Speech to text."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.doc(parameters=PARAMETERS, requestBody=form_of(TRANSCRIPTION))
    @blp.response(
        200,
        {"oneOf": [OpenAITranscriptionSchema, OpenAIVerboseTranscriptionSchema]},
        headers=HEADERS,
    )
    @blp.alt_response(200, schema=TEXT, content_type=TEXTS[0], success=True)
    @blp.alt_response(200, schema=TEXT, content_type=TEXTS[1], success=True)
    @blp.alt_response(200, schema=TEXT, content_type=TEXTS[2], success=True)
    @blp.alt_response(
        200,
        schema=TEXT,
        content_type=MEDIA_TYPE,
        description="The transcript; with `stream` as events, while it is decoded",
        success=True,
    )
    @blp.alt_response(
        201, schema=NativeCreatedSchema, description="Of a native form: the job waits", success=True
    )
    @blp.fails(*CODES)
    def post(self, _query: dict[str, Any]) -> Response:
        """Transcribe a recording and wait for it.

        The job is urgent, and is cancelled when the connection is closed before the answer. A
        form without `model`, or with fields of Dalston's native API, is answered at once: 201.
        """
        form = receive_transcription_form()
        if is_native(form.fields):
            return accept(form)
        asked = read_transcription(current_services().settings, values_in(form, TRANSCRIPTION))
        return answer_as_stream(asked) if asked.is_streamed else answer_at_once(asked)


@blp.route("/v1/audio/translations")
class Translations(MethodView):
    """Speech to English text."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.doc(parameters=PARAMETERS, requestBody=form_of(TRANSLATION))
    @blp.response(
        200,
        {"oneOf": [OpenAITranscriptionSchema, OpenAIVerboseTranscriptionSchema]},
        headers=HEADERS,
    )
    @blp.alt_response(200, schema=TEXT, content_type=TEXTS[0], success=True)
    @blp.alt_response(200, schema=TEXT, content_type=TEXTS[1], success=True)
    @blp.alt_response(
        200, schema=TEXT, content_type=TEXTS[2], description="The translation", success=True
    )
    @blp.fails(*CODES)
    def post(self, _query: dict[str, Any]) -> Response:
        """Translate a recording into English and wait for it."""
        require_capacity(current_services())
        form = receive_door_form(names_of(TRANSLATION))
        asked = read_translation(current_services().settings, values_in(form, TRANSLATION))
        return answer_at_once(asked)


def receive_transcription_form() -> Form:
    """A form of this API, or of the native one at the same address. Raises ServerBusy.

    Rather that than to take a recording that would wait for too long, where the fields that
    stand in front of it show that somebody would; else once the form is read.
    """
    is_asked_for = False

    def require_room(before_file: Pairs) -> None:
        nonlocal is_asked_for
        if not is_native(before_file):
            require_capacity(current_services())
            is_asked_for = True

    form = receive_door_form(
        names_of(TRANSCRIPTION) | NATIVE_NAMES,
        is_file_required=False,
        before_file=require_room,
        max_parts=MAX_PARTS + MAX_KEYWORDS,
    )
    if not is_asked_for:
        require_room(form.fields)
    return form


def values_in(form: Form, schema: Schema) -> dict[str, Any]:
    """The form's values. Raises FileMissing, OptionInvalid and Refused."""
    if form.file is None:
        raise FileMissing(f"the form has no part named {FILE!r}", option=FILE)
    return values_of(form, schema)


def answer_at_once(asked: AudioRequest) -> Response:
    """Wait for the job of this request, and answer in the format that was asked for."""
    with waiting_place():
        made = submit(asked)
        _, transcript = await_job(made.job_id, keep=made.is_replayed)
    rendered = render_answer(transcript, asked.fields)
    response = Response(rendered.body, mimetype=rendered.media_type)
    response.headers[JOB_HEADER] = str(made.job_id)
    return mark_replayed(response) if made.is_replayed else response
