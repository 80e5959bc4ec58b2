"""A job and its transcript as AssemblyAI's `/v2/transcript` shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.lifecycle import JobStatus
from domain.transcript import Transcript, Word
from formats.doors.assemblyai_fields import ECHOED, NEVER_FOUND, OFF, REFUSED
from formats.doors.passages import Passage, joined, paragraphs, sentences, timed_words
from formats.doors.unformatted import unformatted

STATUSES = {
    JobStatus.PENDING: "queued",
    JobStatus.PROCESSING: "processing",
    JobStatus.COMPLETED: "completed",
    JobStatus.FAILED: "error",
    JobStatus.CANCELLED: "error",
}
COMPLETED = STATUSES[JobStatus.COMPLETED]
HOSTED_MODELS = ("best", "nano", "slam-1", "universal")  # all that their `speech_model` may be


@dataclass(frozen=True)
class TranscriptJob:
    """What is to be shown of a job; `asked` is what the door keeps of the request."""

    job_id: UUID
    status: JobStatus
    created_at: datetime
    completed_at: datetime | None
    language: str | None
    duration_s: float | None
    error: str | None
    asked: Mapping[str, Any]


def render_transcript(job: TranscriptJob, transcript: Transcript | None) -> dict[str, Any]:
    """The whole object; without a transcript, what comes of one is null."""
    asked = job.asked
    body: dict[str, Any] = {
        "id": str(job.job_id),
        "status": STATUSES[job.status],
        **{name: asked.get(name) for name in ECHOED},
        **dict.fromkeys((*REFUSED, *NEVER_FOUND)),
        **dict.fromkeys(OFF, False),
        "audio_url": asked.get("audio_url") or "",
        "audio_duration": None if job.duration_s is None else round(job.duration_s),
        "language_code": job.language or asked.get("language_code"),
        "punctuate": asked.get("punctuate") is not False,
        "format_text": asked.get("format_text") is not False,
        # Their clients refuse any other name; `speech_model_used` has the one that was at work.
        "speech_model": _hosted(asked.get("speech_model")),
        "webhook_auth": asked.get("webhook_auth_header_name") is not None,
        "error": _error(job),
        "text": None,
        "words": None,
        "confidence": None,
        "language_confidence": None,
        "speech_model_used": None,
        "metadata": None,
    }
    return body if transcript is None else {**body, **_result(transcript, asked)}


def render_item(job: TranscriptJob, resource_url: str) -> dict[str, Any]:
    """One entry of the list of transcripts."""
    return {
        "id": str(job.job_id),
        "resource_url": resource_url,
        "status": STATUSES[job.status],
        "created": _moment(job.created_at),
        "completed": _moment(job.completed_at) if job.status == JobStatus.COMPLETED else None,
        "audio_url": job.asked.get("audio_url") or "",
        "error": _error(job),
    }


def render_notice(job_id: UUID, status: JobStatus) -> dict[str, Any]:
    """The body of a webhook."""
    return {"transcript_id": str(job_id), "status": STATUSES[status]}


def render_sentences(
    job_id: UUID, transcript: Transcript, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """The text sentence by sentence."""
    words = timed_words(as_asked(transcript, asked))
    return {**_of_all(job_id, transcript), "sentences": [*map(_passage, sentences(words))]}


def render_paragraphs(
    job_id: UUID, transcript: Transcript, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """The text paragraph by paragraph."""
    words = timed_words(as_asked(transcript, asked))
    groups = paragraphs(sentences(words))
    return {
        **_of_all(job_id, transcript),
        "paragraphs": [_passage(joined(group)) for group in groups],
    }


def render_matches(
    job_id: UUID, transcript: Transcript, asked: Mapping[str, Any], phrases: Sequence[str]
) -> dict[str, Any]:
    """Where each of these words, or rows of words, was said; marks and case do not count."""
    words = timed_words(as_asked(transcript, asked))
    said = [_key(word.word) for word in words]
    matches = [_match(phrase, words, said) for phrase in phrases]
    total = sum(len(match["indexes"]) for match in matches)
    return {"id": str(job_id), "total_count": total, "matches": matches}


def as_asked(transcript: Transcript, asked: Mapping[str, Any]) -> Transcript:
    """The transcript without the marks and capitals that the request did not want."""
    return unformatted(
        transcript,
        punctuated=asked.get("punctuate") is not False,
        capitalised=asked.get("format_text") is not False,
    )


def _result(transcript: Transcript, asked: Mapping[str, Any]) -> dict[str, Any]:
    written = as_asked(transcript, asked)
    notes = [f"{rung.rung}: {rung.reason}" for rung in transcript.fallbacks]
    notes += [warning.message for warning in transcript.warnings]
    return {
        "text": written.text,
        "words": [_word(word) for word in timed_words(written)],
        "confidence": transcript.confidence,
        "audio_duration": round(transcript.duration_s),
        "language_code": transcript.language,
        "language_confidence": transcript.language_probability,
        "speech_model_used": transcript.model_used,
        "metadata": {"warnings": [{"message": note} for note in notes]} if notes else None,
    }


def _of_all(job_id: UUID, transcript: Transcript) -> dict[str, Any]:
    return {
        "id": str(job_id),
        "confidence": transcript.confidence or 0.0,
        "audio_duration": transcript.duration_s,
        "speech_model_used": transcript.model_used,
    }


def _passage(passage: Passage) -> dict[str, Any]:
    return {
        "text": passage.text,
        "start": _ms(passage.start),
        "end": _ms(passage.end),
        "confidence": passage.confidence,
        "words": [_word(word) for word in passage.words],
        "speaker": None,
        "channel": None,
    }


def _word(word: Word) -> dict[str, Any]:
    return {
        "text": word.word.strip(),
        "start": _ms(word.start),
        "end": _ms(word.end),
        "confidence": word.probability or 0.0,
        "speaker": None,
        "channel": None,
    }


def _match(phrase: str, words: Sequence[Word], said: Sequence[str]) -> dict[str, Any]:
    row = [_key(part) for part in phrase.split()]
    starts = [n for n in range(len(said) - len(row) + 1) if said[n : n + len(row)] == row]
    return {
        "text": phrase,
        "count": len(starts),
        "timestamps": [[_ms(words[n].start), _ms(words[n + len(row) - 1].end)] for n in starts],
        "indexes": starts,
    }


def _key(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum())


def _hosted(name: str | None) -> str | None:
    return name if name in HOSTED_MODELS else None


def _error(job: TranscriptJob) -> str | None:
    if job.status == JobStatus.CANCELLED:
        return "the job was cancelled"
    return (job.error or "the job failed") if job.status == JobStatus.FAILED else None


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")
