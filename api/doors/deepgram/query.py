"""What `POST /v1/listen` may be asked: every query parameter of Deepgram's, taken or refused."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from api.doors.problem import Refused
from config import Settings
from domain.options import MODEL_SIZES, TranscriptionOptions, check_options
from services.model_names import model_for

# Deepgram's models are not here: they mean the server's own.
HOSTED_MODELS = frozenset(
    {
        "nova-3", "nova-3-general", "nova-3-medical", "nova-2", "nova-2-general", "nova-2-meeting",
        "nova-2-finance", "nova-2-conversationalai", "nova-2-voicemail", "nova-2-video",
        "nova-2-medical", "nova-2-drivethru", "nova-2-automotive", "nova", "nova-general",
        "nova-phonecall", "nova-medical", "enhanced", "enhanced-general", "enhanced-meeting",
        "enhanced-phonecall", "enhanced-finance", "base-general", "general", "meeting",
        "phonecall", "finance", "conversationalai", "voicemail", "video", "whisper",
    }
)  # fmt: skip
WHISPER = "whisper-"  # their own names for Whisper: whisper-tiny ... whisper-large

FLAGS = ("detect_language", "paragraphs", "punctuate", "smart_format", "utterances")
LISTS = ("extra", "keyterm", "keywords", "tag")
NO_EFFECT = ("mip_opt_out",)  # nothing that is sent here leaves this server anyway
ONLY_ONE_VALUE = {"alternatives": "1", "callback_method": "POST", "version": "latest"}
# May be false, which is what happens.
OFF = (
    "detect_entities", "diarize", "dictation", "filler_words", "intents", "measurements",
    "multichannel", "numerals", "profanity_filter", "redact", "sentiment", "summarize", "topics",
)  # fmt: skip
REFUSED = (
    "channels", "custom_intent", "custom_intent_mode", "custom_topic", "custom_topic_mode",
    "diarize_model", "encoding", "endpointing", "language_hint", "replace", "sample_rate", "search",
)  # fmt: skip
SINGLE = (*FLAGS, "callback", "language", "model", "utt_split")
KNOWN = frozenset({*SINGLE, *LISTS, *NO_EFFECT, *ONLY_ONE_VALUE, *OFF, *REFUSED})

TAG = "tag"
MAX_TERMS = 100  # as Deepgram
MAX_PROMPT_CHARS = 800  # Whisper reads 223 tokens; of longer lists it would miss the beginning
MAX_TAGS = 32
MAX_TAG_CHARS = 128
SHOWN_CHARS = 40  # of a client's own value, repeated in a message


@dataclass(frozen=True)
class Listen:
    """One request, as far as it is not the recording."""

    model: str | None
    language: str | None
    terms: tuple[str, ...]
    callback: str | None
    kept: dict[str, Any]  # what the answer is rendered with: see formats/doors/deepgram.py

    @property
    def labels(self) -> dict[str, str]:
        """What the owner of the job wants to find with it: labels hold one text each."""
        tags = {TAG: ", ".join(self.kept[TAG])} if TAG in self.kept else {}
        return {**self.kept.get("extra", {}), **tags}


def read_query(pairs: Iterable[tuple[str, str]]) -> Listen:
    """Read the parameters of the address. Raises Refused naming one that cannot be done."""
    single, lists = _sorted_out(pairs)
    for name in OFF:
        if single.get(name, "false").lower() != "false":
            raise Refused(name, f"{name} is not available on this server")
    for name, only in ONLY_ONE_VALUE.items():
        if single.get(name, only).lower() != only.lower():
            raise Refused(name, f"{name} can only be {only} on this server")
    flags = {name: _flag(name, single[name]) for name in FLAGS if name in single}
    if flags.get("detect_language") and "language" in single:
        raise Refused("detect_language", "detect_language and language contradict each other")
    # Their smart_format punctuates, whatever else is said, and makes paragraphs.
    is_smart = flags.get("smart_format", False)
    flags.setdefault("paragraphs", is_smart)
    kept: dict[str, Any] = {name: True for name in ("paragraphs", "utterances") if flags.get(name)}
    if flags.get("punctuate") is False and not is_smart:
        kept["punctuate"] = False
    if "utt_split" in single:
        kept["utt_split"] = _seconds("utt_split", single["utt_split"])
    kept |= {name: value for name, value in _own(lists).items() if value}
    return Listen(
        model=single.get("model"),
        language=_language(single.get("language")),
        terms=_terms(lists),
        callback=single.get("callback"),
        kept=kept,
    )


def options_for(settings: Settings, asked: Listen) -> TranscriptionOptions:
    """The options of the job. Raises OptionInvalid naming the parameter."""
    return check_options(
        TranscriptionOptions(
            model_size=_model(settings, asked.model),
            language=asked.language,
            initial_prompt=", ".join(asked.terms) or None,
            word_timestamps=True,
        )
    )


def _sorted_out(pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, str], dict[str, list[str]]]:
    single: dict[str, str] = {}
    lists: dict[str, list[str]] = {name: [] for name in LISTS}
    for name, value in pairs:
        if name not in KNOWN:
            raise Refused(name[:SHOWN_CHARS], f"there is no parameter {name[:SHOWN_CHARS]!r}")
        if "\0" in value:
            raise Refused(name, f"{name} holds a NUL character")
        if not value.strip():
            continue
        if name in REFUSED:
            raise Refused(name, f"{name} is not available on this server")
        if name in lists:
            lists[name].append(value.strip())
        elif single.setdefault(name, value.strip()) != value.strip():
            raise Refused(name, f"{name} is given twice, with different values")
    return single, lists


def _model(settings: Settings, name: str | None) -> str:
    if name is None:
        return settings.model_size
    key = name.lower()
    if key.removeprefix(WHISPER) in MODEL_SIZES:
        key = key.removeprefix(WHISPER)
    return model_for(settings, key, HOSTED_MODELS)


def _language(tag: str | None) -> str | None:
    """The language of a BCP-47 tag: Whisper knows no regions."""
    if tag is None:
        return None
    if tag.lower() == "multi":
        raise Refused(
            "language",
            "language=multi is not available on this server: each recording is in one language, "
            "which is found out where none is given",
        )
    return tag.replace("_", "-").partition("-")[0]


def _terms(lists: dict[str, list[str]]) -> tuple[str, ...]:
    for word in lists["keywords"]:
        if ":" in word:
            raise Refused("keywords", "keywords have no weights on this server: give words alone")
    field = "keyterm" if lists["keyterm"] else "keywords"
    terms = (*lists["keyterm"], *lists["keywords"])
    if len(terms) > MAX_TERMS:
        raise Refused(field, f"{field} takes at most {MAX_TERMS} terms")
    if len(", ".join(terms)) > MAX_PROMPT_CHARS:
        raise Refused(field, f"{field} takes at most {MAX_PROMPT_CHARS} characters in all")
    return terms


def _own(lists: dict[str, list[str]]) -> dict[str, Any]:
    for name in ("tag", "extra"):
        if len(lists[name]) > MAX_TAGS:
            raise Refused(name, f"{name} can be given at most {MAX_TAGS} times")
        if any(len(value) > MAX_TAG_CHARS for value in lists[name]):
            raise Refused(name, f"{name} takes at most {MAX_TAG_CHARS} characters")
    extra = _extra(lists["extra"])
    if lists[TAG] and TAG in extra:
        raise Refused("extra", "extra cannot be called tag where there are tags")
    return {TAG: lists[TAG], "extra": extra}


def _extra(values: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        key, colon, text = value.partition(":")
        if not colon or not key:
            raise Refused("extra", "extra is a key and a value, as in extra=key:value")
        if pairs.setdefault(key, text) != text:
            raise Refused("extra", f"extra gives {key!r} twice, with different values")
    return pairs


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise Refused(name, f"{name} is true or false on this server")
    return value.lower() == "true"


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 60:  # noqa: PLR2004 - false for NaN, too
        raise Refused(name, f"{name} is a number of seconds, above 0 and up to 60")
    return seconds
