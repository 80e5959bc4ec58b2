"""Fields of a speech-to-text request that marshmallow has no type for."""

import json
from collections.abc import Collection
from typing import Any

from marshmallow import ValidationError, fields

from api.doors.elevenlabs.json_values import parse_json
from domain.language_codes import code_of

NOT_SUPPORTED = "Not supported by this server: "
MAX_KEYTERMS = 1000
MAX_KEYTERM_CHARS = 50
MAX_KEYTERM_WORDS = 5
KEYTERM_REFUSED = frozenset("<>{}[]\\")
# Whisper reads the last 223 tokens of its prompt: of English about this many characters. More
# would be dropped without a word.
MAX_PROMPT_CHARS = 900
SEPARATOR = ", "
MAX_METADATA_BYTES = 16 * 1024
MAX_METADATA_DEPTH = 2
SHOWN_CHARS = 40  # of a client's own value, repeated in a message


class Unsupported(fields.Field[Any]):
    """A field that this server cannot honour: refused unless its value asks for nothing."""

    def __init__(self, why: str, *, neutral: Collection[str] = (), **kwargs: Any) -> None:
        self.why = why
        self.neutral = frozenset(neutral)
        metadata = {"description": f"{NOT_SUPPORTED}{why}", **kwargs.pop("metadata", {})}
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> None:
        del attr, data, kwargs
        if str(value).strip().lower() not in self.neutral:
            raise ValidationError(NOT_SUPPORTED + self.why)


class IsoLanguage(fields.String):
    """An ISO 639-1 or 639-3 code, as Whisper spells the language."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        given = super()._deserialize(value, attr, data, **kwargs)
        code = code_of(given)
        if code is None:
            raise ValidationError(
                f"No ISO 639-1 or 639-3 code of a language that is known here: "
                f"{given[:SHOWN_CHARS]!r}."
            )
        return code


class KeyTerms(fields.List[str]):
    """Terms to expect: repeated fields, or one field with a JSON list of them."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(fields.String(), **kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[str | None]:
        # A bracket cannot begin a term, so that the two ways cannot be confused.
        if len(value) == 1 and value[0].lstrip().startswith("["):
            value = parse_json(value[0])
        found = super()._deserialize(value, attr, data, **kwargs)
        terms = [(term or "").strip() for term in found]
        _check_keyterms(terms)
        return [*terms]


def _check_keyterms(terms: list[str]) -> None:
    if len(terms) > MAX_KEYTERMS:
        raise ValidationError(f"At most {MAX_KEYTERMS} keyterms, not {len(terms)}.")
    for number, term in enumerate(terms, start=1):
        if not term or len(term) > MAX_KEYTERM_CHARS:
            raise ValidationError(
                f"Keyterm {number} must have 1 to {MAX_KEYTERM_CHARS} characters."
            )
        if len(term.split()) > MAX_KEYTERM_WORDS:
            raise ValidationError(f"Keyterm {number} has more than {MAX_KEYTERM_WORDS} words.")
        if KEYTERM_REFUSED & set(term):
            raise ValidationError(f"Keyterm {number} holds one of < > {{ }} [ ] \\")
    length = len(SEPARATOR.join(terms))
    if length > MAX_PROMPT_CHARS:
        raise ValidationError(
            f"{NOT_SUPPORTED}keyterms of {length} characters in all; Whisper would read only the "
            f"last {MAX_PROMPT_CHARS} or so."
        )


class JsonList(fields.List[Any]):
    """A list that arrives as JSON text."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[Any]:
        found = parse_json(value)
        return [] if found is None else super()._deserialize(found, attr, data, **kwargs)


class Metadata(fields.Field[Any]):
    """A JSON object of the caller's own, two levels deep and 16 KB long at most."""

    def _deserialize(
        self, value: Any, attr: Any, data: Any, **kwargs: Any
    ) -> dict[str, Any] | None:
        del attr, data, kwargs
        found = parse_json(value)
        if found is not None and not isinstance(found, dict):
            raise ValidationError("Must be a JSON object.")
        if len(json.dumps(found, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
            raise ValidationError(f"Longer than {MAX_METADATA_BYTES} bytes.")
        if _depth(found) > MAX_METADATA_DEPTH:
            raise ValidationError(f"Deeper than {MAX_METADATA_DEPTH} levels.")
        return found


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
