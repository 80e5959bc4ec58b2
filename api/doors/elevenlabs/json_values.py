"""JSON inside a form field: what the official client sends for lists and objects."""

import json
import math
from typing import Any

from marshmallow import ValidationError

ABSENT = "null"  # what the official client sends for what its caller left out


def parse_json(text: str) -> Any:
    """The value of a JSON text, or of a JSON string that holds one: callers encode twice.

    Raises ValidationError, also for what JSON allows and no database keeps: NUL, half a
    surrogate pair, a number without end.
    """
    value: Any = text
    try:
        for _ in range(2):
            if isinstance(value, str):
                value = json.loads(value, parse_constant=_refuse_constant)
        is_kept = _is_kept(value)
    except (ValueError, RecursionError) as error:
        raise ValidationError("Not valid JSON.") from error
    if not is_kept:
        raise ValidationError("Holds a character or a number that cannot be stored.")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _is_kept(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_kept(key) and _is_kept(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_kept, value))
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)
    return not isinstance(value, float) or math.isfinite(value)
