"""From the fields of OpenAI's forms to the options of a job."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.doors.openai.names import HOSTED_MODELS, NOT_STREAMED
from api.doors.openai.schemas import AUTO, DIARIZED, GRANULARITIES, VAD_TYPE
from api.doors.problem import Refused
from api.multipart import FormFile
from config import Settings
from domain.errors import OptionInvalid
from domain.options import Task, TranscriptionOptions, check_options
from services.model_names import model_for

# What an option of ours is called here; the other names are the same.
THEIR_NAME = {"model_size": "model", "task": "model", "initial_prompt": "prompt"}
STREAMED_FORMATS = ("json", "text")
NOT_YET = "is not available yet: this server does not tell speakers apart"
REFUSED = {
    "include": "include is not supported: this server keeps no probabilities of single tokens",
    "known_speaker_names": f"known_speaker_names {NOT_YET}",
    "known_speaker_references": f"known_speaker_references {NOT_YET}",
}


@dataclass(frozen=True)
class AudioRequest:
    """One request, understood."""

    file: FormFile
    options: TranscriptionOptions
    is_streamed: bool
    fields: Mapping[str, Any]  # what the answer is rendered with: see formats/doors/openai.py


def read_transcription(settings: Settings, values: Mapping[str, Any]) -> AudioRequest:
    """A transcription. Raises OptionInvalid and Refused, naming the field."""
    for name, message in REFUSED.items():
        if values.get(name):
            raise Refused(name, message)
    response_format = values.get("response_format", "json")
    if response_format == DIARIZED:
        raise Refused("response_format", f"{DIARIZED} {NOT_YET}")
    check_chunking(values.get("chunking_strategy"))
    granularities = _granularities(values, response_format)
    name = values["model"].strip().lower()
    is_streamed = bool(values.get("stream")) and name != NOT_STREAMED
    if is_streamed and response_format not in STREAMED_FORMATS:
        raise Refused(
            "response_format",
            f"a stream carries text alone, no {response_format}: ask for json or text, "
            "or do not stream",
        )
    options = _options(
        settings,
        values,
        task="transcribe",
        language=_language(values),
        prompt=_prompt(values),
        word_timestamps="word" in granularities,
    )
    kept = {"model": name, "response_format": response_format}
    if granularities:
        kept["timestamp_granularities"] = granularities
    return AudioRequest(values["file"], options, is_streamed, kept)


def read_translation(settings: Settings, values: Mapping[str, Any]) -> AudioRequest:
    """A translation into English. Raises OptionInvalid and Refused, naming the field."""
    options = _options(settings, values, task="translate", prompt=values.get("prompt"))
    kept = {
        "model": values["model"].strip().lower(),
        "response_format": values.get("response_format", "json"),
    }
    return AudioRequest(values["file"], options, is_streamed=False, fields=kept)


def check_chunking(strategy: str | Mapping[str, Any] | None) -> None:
    """Raise Refused unless the recording may be cut as this server does it anyway."""
    if strategy in (None, AUTO, {"type": VAD_TYPE}):
        return
    given = strategy if isinstance(strategy, Mapping) else {}
    for part in given:
        if part != "type":
            raise Refused(
                f"chunking_strategy[{part}]",
                f"chunking_strategy[{part}] is not supported: this server finds speech and cuts "
                f"recordings by rules of its own; ask for {AUTO}",
            )
    raise Refused(
        "chunking_strategy", f"chunking_strategy is {AUTO}, or an object of the type {VAD_TYPE}"
    )


def _options(
    settings: Settings,
    values: Mapping[str, Any],
    *,
    task: Task,
    prompt: str | None,
    language: str | None = None,
    word_timestamps: bool = False,
) -> TranscriptionOptions:
    try:
        return check_options(
            TranscriptionOptions(
                model_size=model_for(settings, values["model"], HOSTED_MODELS),
                language=language,
                task=task,
                initial_prompt=prompt,
                temperature=values.get("temperature"),  # 0 is a temperature
                word_timestamps=word_timestamps,
            )
        )
    except OptionInvalid as error:
        option = str(error.details.get("option", ""))
        raise Refused(THEIR_NAME.get(option, option), error.message) from error


def _granularities(values: Mapping[str, Any], response_format: str) -> list[str]:
    asked = values.get("timestamp_granularities", [])
    if asked and response_format != "verbose_json":
        raise Refused(
            "timestamp_granularities",
            "timestamp_granularities needs response_format=verbose_json",
        )
    return [name for name in GRANULARITIES if name in asked]


def _language(values: Mapping[str, Any]) -> str | None:
    """The one language that was named, in either field."""
    several = values.get("languages", [])
    named = {*several, *filter(None, [values.get("language")])}
    if len(named) > 1:
        raise Refused(
            "languages" if len({*several}) > 1 else "language",
            "this server takes one language for a recording, or finds it out when none is given",
        )
    return named.pop() if named else None


def _prompt(values: Mapping[str, Any]) -> str | None:
    """The prompt with the keywords behind it: Whisper has no other ear for them."""
    keywords = ", ".join(values.get("keywords", []))
    return " ".join(filter(None, [values.get("prompt"), keywords and f"{keywords}."])) or None
