"""/transcribe/{id}/result and /audio: what a job made, and what it was made from."""

from typing import Any

from flask import Response, request
from flask.views import MethodView
from werkzeug.exceptions import NotAcceptable
from werkzeug.wsgi import wrap_file

from api.blueprint import Blueprint
from api.current import current_services, current_tenant
from api.filenames import attachment, safe_audio_type
from api.schemas.base import NoQuerySchema
from api.schemas.jobs import ResultQuerySchema
from api.schemas.transcripts import TranscriptSchema, VerboseTranscriptSchema
from api.transcriptions import parse_job_id
from domain.errors import OptionInvalid
from formats.registry import FORMATS, render
from services.jobs import get_transcript
from services.recordings import AudioFile, open_audio

blp = Blueprint("results", __name__, description="Transcripts and recordings")

DEFAULT_FORMAT = "json"
WITH_LINES = ("srt", "vtt")
TEXT = {"type": "string"}
# By media type; the first is what a client gets that takes anything.
FORMAT_OF_TYPE = {FORMATS[name].media_type: name for name in ("json", "txt", "srt", "vtt", "tsv")}


@blp.route("/transcribe/<string:job_id>/result")
class Result(MethodView):
    """The transcript of one job."""

    @blp.arguments(ResultQuerySchema, location="query")
    @blp.response(200, {"oneOf": [TranscriptSchema, VerboseTranscriptSchema]})
    @blp.alt_response(200, schema=TEXT, content_type="text/plain", success=True)
    @blp.alt_response(200, schema=TEXT, content_type="application/x-subrip", success=True)
    @blp.alt_response(200, schema=TEXT, content_type="text/vtt", success=True)
    @blp.alt_response(
        200,
        schema=TEXT,
        content_type="text/tab-separated-values",
        description="The transcript",
        success=True,
    )
    @blp.fails(
        "job_not_found",
        "format_not_acceptable",
        "result_not_ready",
        "validation_error",
        "option_invalid",
        "database_unavailable",
    )
    def get(self, query: dict[str, Any], job_id: str) -> Response:
        """Read the transcript in one of the formats, by `format` or by `Accept`."""
        name = query.pop("format", None) or accepted_format()
        if query and name not in WITH_LINES:
            raise OptionInvalid(
                f"{name} has no lines to break: {' and '.join(query)} is for srt and vtt",
                option=min(query),
                allowed=list(WITH_LINES),
            )
        job, transcript = get_transcript(
            current_services(), parse_job_id(job_id), tenant=current_tenant()
        )
        chosen = FORMATS[name]
        response = Response(render(transcript, name, **query), mimetype=chosen.media_type)
        response.headers["Content-Disposition"] = attachment(
            job.filename, fallback=str(job.job_id), extension=chosen.extension
        )
        response.vary.add("Accept")
        return response


@blp.route("/transcribe/<string:job_id>/audio")
class Audio(MethodView):
    """The recording of one job."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(
        200,
        {"type": "string", "format": "binary"},
        content_type="application/octet-stream",
        description="The recording as uploaded",
    )
    @blp.alt_response(
        206,
        schema={"type": "string", "format": "binary"},
        content_type="application/octet-stream",
        description="The range that was asked for",
        success=True,
    )
    @blp.fails(
        "job_not_found",
        "audio_gone",
        "range_not_satisfiable",
        "option_invalid",
        "storage_error",
        "database_unavailable",
    )
    def get(self, _query: dict[str, Any], job_id: str) -> Response:
        """Fetch the recording; byte ranges are served."""
        audio = open_audio(current_services(), parse_job_id(job_id), tenant=current_tenant())
        return stream_recording(audio, job_id)


def accepted_format() -> str:
    """The format for the request's Accept header. Raises NotAcceptable naming what there is."""
    media_type = request.accept_mimetypes.best_match(list(FORMAT_OF_TYPE))
    if not request.accept_mimetypes:
        return DEFAULT_FORMAT
    if media_type is None:
        raise NotAcceptable(
            f"Accept must allow one of {', '.join(FORMAT_OF_TYPE)}; or ask with ?format="
        )
    return FORMAT_OF_TYPE[media_type]


def stream_recording(audio: AudioFile, job_id: str) -> Response:
    """The recording, or the part of it that a Range header asks for."""
    response = Response(
        wrap_file(request.environ, audio.stream),
        mimetype=safe_audio_type(audio.content_type),
        direct_passthrough=True,
    )
    response.call_on_close(audio.stream.close)
    response.content_length = audio.size_bytes
    response.set_etag(audio.sha256)
    response.headers["Content-Disposition"] = attachment(audio.filename, fallback=job_id)
    response.headers["Cache-Control"] = "private, no-cache"
    try:
        response.make_conditional(
            request.environ, accept_ranges=True, complete_length=audio.size_bytes
        )
    except BaseException:
        audio.stream.close()
        raise
    return response
