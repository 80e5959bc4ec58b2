"""What is read out of a finished transcript: captions, sentences, paragraphs, places of words."""

from typing import Any

from flask import Response, jsonify
from flask.views import MethodView

from api.current import current_services, current_tenant
from api.doors.assemblyai import documents
from api.doors.assemblyai.shown import shown
from api.doors.assemblyai.views import blp
from api.doors.problem import Refused
from api.schemas.base import NoQuerySchema
from api.transcriptions import parse_job_id
from domain.transcript import Transcript
from formats.doors.assemblyai import (
    TranscriptJob,
    as_asked,
    render_matches,
    render_paragraphs,
    render_sentences,
)
from formats.registry import FORMATS, render
from services.jobs import get_transcript

__all__ = ["blp"]  # with all routes of the door on it

MAX_PHRASES = 100


@blp.route("/v2/transcript/<string:transcript_id>/<any(srt, vtt):subtitle_format>")
class Captions(MethodView):
    """Subtitles."""

    @blp.arguments(documents.CaptionsQuerySchema, location="query")
    @blp.doc(responses=documents.CAPTIONS)
    @blp.fails(*documents.READ_FAILURES)
    def get(self, query: dict[str, Any], transcript_id: str, subtitle_format: str) -> Response:
        """Read a transcript as subtitles, as AssemblyAI does."""
        job, transcript = _finished(transcript_id)
        width = query.get("chars_per_caption")
        text = render(
            as_asked(transcript, job.asked),
            subtitle_format,
            max_line_width=width,
            max_line_count=None if width is None else 1,
        )
        return Response(text, mimetype=FORMATS[subtitle_format].media_type)


@blp.route("/v2/transcript/<string:transcript_id>/sentences")
class Sentences(MethodView):
    """Sentence by sentence."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.doc(responses=documents.SENTENCES)
    @blp.fails(*documents.READ_FAILURES)
    def get(self, _query: dict[str, Any], transcript_id: str) -> Response:
        """Read a transcript sentence by sentence, as AssemblyAI does."""
        job, transcript = _finished(transcript_id)
        return jsonify(render_sentences(job.job_id, transcript, job.asked))


@blp.route("/v2/transcript/<string:transcript_id>/paragraphs")
class Paragraphs(MethodView):
    """Paragraph by paragraph."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.doc(responses=documents.PARAGRAPHS)
    @blp.fails(*documents.READ_FAILURES)
    def get(self, _query: dict[str, Any], transcript_id: str) -> Response:
        """Read a transcript paragraph by paragraph, as AssemblyAI does."""
        job, transcript = _finished(transcript_id)
        return jsonify(render_paragraphs(job.job_id, transcript, job.asked))


@blp.route("/v2/transcript/<string:transcript_id>/word-search")
class WordSearch(MethodView):
    """Where words were said."""

    @blp.arguments(documents.SearchQuerySchema, location="query")
    @blp.doc(responses=documents.MATCHES)
    @blp.fails(*documents.READ_FAILURES)
    def get(self, query: dict[str, Any], transcript_id: str) -> Response:
        """Find words and phrases in a transcript, as AssemblyAI does."""
        phrases = [text.strip() for text in query["words"].split(",") if text.strip()]
        if not 0 < len(phrases) <= MAX_PHRASES:
            raise Refused("words", f"words are 1 to {MAX_PHRASES}, separated by commas")
        job, transcript = _finished(transcript_id)
        return jsonify(render_matches(job.job_id, transcript, job.asked, phrases))


def _finished(transcript_id: str) -> tuple[TranscriptJob, Transcript]:
    job, transcript = get_transcript(
        current_services(), parse_job_id(transcript_id), tenant=current_tenant()
    )
    return shown(job), transcript
