"""What owners attach to their jobs, and text that comes as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

MAX_LABELS = 50
MAX_KEY_CHARS = 100
MAX_LABELS_BYTES = 16 * 1024
MAX_NAME_CHARS = 255


class Labels(fields.Field[dict[str, Any]]):
    """Names with texts, numbers or true and false; in a form as one JSON object."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise ValidationError("Not valid JSON.") from error
        if not isinstance(value, dict):
            raise ValidationError("Not an object.")
        if len(value) > MAX_LABELS or any(not 0 < len(name) <= MAX_KEY_CHARS for name in value):
            raise ValidationError(
                f"At most {MAX_LABELS} labels with names of 1 to {MAX_KEY_CHARS} characters."
            )
        if not all(isinstance(held, (str, int, float, type(None))) for held in value.values()):
            raise ValidationError("A label holds a text, a number, true, false or null.")
        require_storable(value)
        if len(json.dumps(value).encode()) > MAX_LABELS_BYTES:
            raise ValidationError(f"Longer than {MAX_LABELS_BYTES} bytes.")
        return value


def require_storable(value: Any) -> None:
    """Raise ValidationError for text that no database takes: JSON can write what is no text.

    That is a NUL character, half of a surrogate pair, and numbers that are none.
    """
    if isinstance(value, Mapping):
        for name, held in value.items():
            require_storable(name)
            require_storable(held)
    elif isinstance(value, list):
        for held in value:
            require_storable(held)
    elif isinstance(value, str):
        if "\0" in value or not _is_text(value):
            raise ValidationError("Holds a character that is no text.")
    elif isinstance(value, float) and value - value != 0:
        raise ValidationError("Holds a number that is not finite.")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
