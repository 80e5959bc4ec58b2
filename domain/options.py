"""What a user may ask of a transcription, and the rules between the options."""

from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal, Self

from domain.errors import OptionInvalid
from domain.languages import LANGUAGE_ALIASES, LANGUAGES

# Everything that openai-whisper 20250625 names, from small to large.
MODEL_SIZES = (
    "tiny.en",
    "tiny",
    "base.en",
    "base",
    "small.en",
    "small",
    "medium.en",
    "medium",
    "large-v1",
    "large-v2",
    "large-v3",
    "large",
    "large-v3-turbo",
    "turbo",
)
MODEL_ALIASES = {"large": "large-v3", "large-v3-turbo": "turbo"}

TASKS = ("transcribe", "translate")
DECODE_MODES = ("batched", "sequential")
PRIORITIES = ("high", "normal")
MAX_INITIAL_PROMPT_CHARS = 10_000  # Whisper reads the last 223 tokens of it
MAX_BEAM_SIZE = 10

Task = Literal["transcribe", "translate"]
DecodeMode = Literal["batched", "sequential"]


@dataclass(frozen=True)
class TranscriptionOptions:
    """The options of one job. They stay the same on every attempt."""

    model_size: str
    language: str | None = None  # ISO 639-1 as Whisper spells it; None: detect
    task: Task = "transcribe"
    initial_prompt: str | None = None
    temperature: float | None = None  # None: Whisper's ladder 0, 0.2 ... 1
    beam_size: int | None = None  # None: no beams, see docs/decisions/027
    word_timestamps: bool = False
    allow_downgrade: bool = True
    decode_mode: DecodeMode = "batched"  # sequential: each window reads the text before it

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Undo `to_dict`; an option that did not exist then has its default."""
        return cls(**data)


def canonical_model(name: str) -> str:
    """The size behind a name or alias. Raises OptionInvalid that lists the sizes."""
    size = name.strip().lower()
    if size not in MODEL_SIZES:
        raise _not_allowed("model_size", name, MODEL_SIZES)
    return MODEL_ALIASES.get(size, size)


def canonical_language(value: str) -> str | None:
    """The code behind a code or an English name; None for `auto`. Raises OptionInvalid."""
    key = value.strip().lower()
    if key in ("", "auto"):
        return None
    key = LANGUAGE_ALIASES.get(key, key)
    if key not in LANGUAGES:
        raise _not_allowed("language", value, tuple(LANGUAGES))
    return key


def check_options(options: TranscriptionOptions) -> TranscriptionOptions:
    """Return the options with canonical names. Raises OptionInvalid naming the option."""
    model_size = canonical_model(options.model_size)
    language = canonical_language(options.language) if options.language else None
    if options.task not in TASKS:
        raise _not_allowed("task", options.task, TASKS)
    if options.decode_mode not in DECODE_MODES:
        raise _not_allowed("decode_mode", options.decode_mode, DECODE_MODES)
    if model_size.endswith(".en"):
        _check_english_only(model_size, language, options.task)
    if language == "yue" and model_size not in ("large-v3", "turbo"):
        raise OptionInvalid(
            f"{model_size} does not know Cantonese: ask for large-v3 or turbo",
            option="language",
            value=language,
        )
    if model_size == "turbo" and options.task == "translate":
        raise OptionInvalid(
            "the turbo model was not trained to translate: ask for medium or large-v3",
            option="task",
            value=options.task,
            allowed=["transcribe"],
        )
    _check_range("temperature", options.temperature, 0.0, 1.0)
    _check_range("beam_size", options.beam_size, 1, MAX_BEAM_SIZE)
    if options.beam_size and options.temperature:
        raise OptionInvalid(
            "beam_size is for temperature 0: a higher temperature samples instead",
            option="beam_size",
            value=options.beam_size,
        )
    prompt = options.initial_prompt or None
    if prompt and len(prompt) > MAX_INITIAL_PROMPT_CHARS:
        raise OptionInvalid(
            f"initial_prompt is longer than {MAX_INITIAL_PROMPT_CHARS} characters",
            option="initial_prompt",
            maximum=MAX_INITIAL_PROMPT_CHARS,
        )
    return TranscriptionOptions(
        **{
            **asdict(options),
            "model_size": model_size,
            "language": language,
            "initial_prompt": prompt,
        }
    )


def _check_english_only(model_size: str, language: str | None, task: str) -> None:
    if language not in (None, "en"):
        raise OptionInvalid(
            f"{model_size} knows English only: ask for {model_size.removesuffix('.en')}",
            option="language",
            value=language,
            allowed=["en"],
        )
    if task == "translate":
        raise OptionInvalid(
            f"{model_size} cannot translate: ask for {model_size.removesuffix('.en')}",
            option="task",
            value=task,
            allowed=["transcribe"],
        )


def _check_range(option: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise OptionInvalid(
            f"{option} must be from {low} to {high}, not {value}",
            option=option,
            value=value,
            minimum=low,
            maximum=high,
        )


def _not_allowed(option: str, value: str, allowed: tuple[str, ...]) -> OptionInvalid:
    near = get_close_matches(value.lower(), allowed, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    return OptionInvalid(
        f"unknown {option} {value[:40]!r}{hint}",
        option=option,
        value=value[:40],
        allowed=[*allowed],
    )
