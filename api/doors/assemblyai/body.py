"""What `POST /v2/transcript` may be asked: every field of AssemblyAI's, taken or refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError

from api.doors.problem import Refused
from api.schemas.labels import require_storable
from config import Settings
from domain.errors import OptionInvalid
from domain.options import TranscriptionOptions, check_options
from formats.doors.assemblyai_fields import ECHOED, OFF, OPTIONS, REFUSED
from services.model_names import model_for

# AssemblyAI's models: they mean the server's own.
HOSTED_MODELS = frozenset(
    {
        "best", "nano", "slam-1", "universal", "universal-2", "universal-3-pro",
        "universal-3-5-pro", "conformer-2",
    }
)  # fmt: skip

MAX_TERMS = 1000  # as AssemblyAI
MAX_PROMPT_CHARS = 800  # Whisper reads 223 tokens; of longer prompts it would miss the beginning
MAX_URL_CHARS = 8192
MAX_HEADER_CHARS = 1024
SHOWN_CHARS = 40  # of a client's own value, repeated in a message


@dataclass(frozen=True)
class Asked:
    """One request for a transcript."""

    audio_url: str
    models: tuple[str, ...]  # the first that is known counts
    models_field: str  # by which they came
    language: str | None
    prompt: str | None
    temperature: float | None
    webhook_url: str | None
    webhook_headers: dict[str, str]
    kept: dict[str, Any]  # what the transcript shows of the request; no secret


def read_body(body: Any) -> Asked:
    """Read the JSON. Raises Refused naming a field that is wrong or cannot be done."""
    if not isinstance(body, dict):
        raise Refused("audio_url", "send a JSON object with an audio_url")
    given = {name: value for name, value in body.items() if not _is_empty(value)}
    _refuse_unknown(given)
    if given.get("language_detection") and "language_code" in given:
        raise Refused(
            "language_detection", "language_detection and language_code contradict each other"
        )
    models_field, models = _models(given)
    kept = {name: given[name] for name in (*ECHOED, "speech_model") if name in given}
    for name in ("punctuate", "format_text"):
        if name in body and _flag(body, name) is False:
            kept[name] = False
    return Asked(
        audio_url=_text(given, "audio_url", MAX_URL_CHARS, is_required=True) or "",
        models=models,
        models_field=models_field,
        language=_language(given),
        prompt=_prompt(given),
        temperature=_temperature(body),
        webhook_url=_text(given, "webhook_url", MAX_URL_CHARS),
        webhook_headers=_webhook_headers(given),
        kept=kept,
    )


def options_for(settings: Settings, asked: Asked) -> TranscriptionOptions:
    """The options of the job. Raises OptionInvalid naming the field."""
    return check_options(
        TranscriptionOptions(
            model_size=_model(settings, asked),
            language=asked.language,
            initial_prompt=asked.prompt,
            temperature=asked.temperature,
            word_timestamps=True,
        )
    )


def _is_empty(value: Any) -> bool:
    """Whether this is how their clients write that an option is not given."""
    return value is None or value is False or value in ("", [], {})


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in OPTIONS:
            shown = str(name)[:SHOWN_CHARS]
            raise Refused(shown, f"there is no field {shown!r}")
        if name in OFF or name in REFUSED:
            raise Refused(name, f"{name} is not available on this server")


def _text(
    given: Mapping[str, Any], name: str, maximum: int, *, is_required: bool = False
) -> str | None:
    value = given.get(name)
    if value is None and not is_required:
        return None
    if not isinstance(value, str):
        raise Refused(
            name, f"{name} is a text, and is needed" if is_required else f"{name} is a text"
        )
    if len(value) > maximum:
        raise Refused(name, f"{name} has at most {maximum} characters")
    return _storable(name, value)


def _texts(given: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = given.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Refused(name, f"{name} is a list of texts")
    if len(value) > MAX_TERMS:
        raise Refused(name, f"{name} takes at most {MAX_TERMS} texts")
    return tuple(_storable(name, item).strip() for item in value if item.strip())


def _storable(name: str, value: str) -> str:
    """The text. Raises Refused for what JSON can write and no database takes."""
    try:
        require_storable(value)
    except ValidationError as error:
        raise Refused(name, f"{name} holds a character that is no text") from error
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool | None:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise Refused(name, f"{name} is true or false")
    return value


def _language(given: Mapping[str, Any]) -> str | None:
    """The language of a code such as `en_us`: Whisper knows no regions."""
    _flag(given, "language_detection")
    code = _text(given, "language_code", SHOWN_CHARS)
    return None if code is None else code.replace("-", "_").partition("_")[0]


def _temperature(body: Mapping[str, Any]) -> float | None:
    value = body.get("temperature")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Refused("temperature", "temperature is a number from 0 to 1")
    return float(value)


def _prompt(given: Mapping[str, Any]) -> str | None:
    """What Whisper is to expect. AssemblyAI, too, takes one of these fields at a time."""
    found = [name for name in ("prompt", "keyterms_prompt", "word_boost") if name in given]
    if len(found) > 1:
        raise Refused(found[1], f"{found[0]} and {found[1]} cannot be used together")
    name = found[0] if found else "prompt"
    if name == "prompt":
        return _text(given, name, MAX_PROMPT_CHARS)
    prompt = ", ".join(_texts(given, name))
    if len(prompt) > MAX_PROMPT_CHARS:
        raise Refused(name, f"{name} takes at most {MAX_PROMPT_CHARS} characters in all")
    return prompt or None


def _models(given: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    if "speech_model" in given and "speech_models" in given:
        raise Refused("speech_models", "speech_model and speech_models cannot be used together")
    if "speech_models" in given:
        return "speech_models", _texts(given, "speech_models")
    model = _text(given, "speech_model", SHOWN_CHARS)
    return "speech_model", () if model is None else (model,)


def _model(settings: Settings, asked: Asked) -> str:
    """The first of the models that this server knows. Raises OptionInvalid when it knows none."""
    refusal: OptionInvalid | None = None
    for name in asked.models:
        try:
            return model_for(settings, name, HOSTED_MODELS, option=asked.models_field)
        except OptionInvalid as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal
    return settings.model_size


def _webhook_headers(given: Mapping[str, Any]) -> dict[str, str]:
    name = _text(given, "webhook_auth_header_name", MAX_HEADER_CHARS)
    value = _text(given, "webhook_auth_header_value", MAX_HEADER_CHARS)
    if (name is None) != (value is None):
        missing = "webhook_auth_header_name" if name is None else "webhook_auth_header_value"
        raise Refused(missing, "a header for webhooks has a name and a value")
    if name is not None and "webhook_url" not in given:
        raise Refused("webhook_auth_header_name", "a header for webhooks needs a webhook_url")
    return {} if name is None or value is None else {name: value}
