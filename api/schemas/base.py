"""Schemas and fields that refuse what they do not know, and say what they do."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_load

from domain.errors import OptionInvalid
from domain.options import canonical_language, canonical_model

SHOWN_CHARS = 40  # of a client's own value, repeated in a message


class StrictSchema(Schema):
    """A schema for requests: an unknown name is an error, never ignored."""

    @pre_load
    def refuse_unknown(self, data: Any, **_: object) -> Any:
        """Raise OptionInvalid for a name that no field has."""
        # A JSON body may be no object at all; the library says so itself.
        for name in data if isinstance(data, Mapping) else ():
            refuse_unknown_option(name, self.load_fields)
        return data


class NoQuerySchema(StrictSchema):
    """For routes without parameters."""


class Choice(fields.String):
    """One word of a fixed list, in any case. Raises OptionInvalid with the list."""

    def __init__(self, option: str, allowed: Iterable[str], **kwargs: Any) -> None:
        self.option = option
        self.allowed = tuple(allowed)
        kwargs["metadata"] = {"enum": list(self.allowed), **kwargs.get("metadata", {})}
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        word = super()._deserialize(value, attr, data, **kwargs).strip().lower()
        if word not in self.allowed:
            raise OptionInvalid(
                f"unknown {self.option} {word[:SHOWN_CHARS]!r}{did_you_mean(word, self.allowed)}",
                option=self.option,
                value=word[:SHOWN_CHARS],
                allowed=list(self.allowed),
            )
        return word


class ModelSize(fields.String):
    """A model by name or alias."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> str:
        return canonical_model(super()._deserialize(value, attr, data, **kwargs))


class Language(fields.String):
    """A language by code or English name; `auto` becomes None."""

    def _deserialize(  # type: ignore[override]
        self, value: Any, attr: Any, data: Any, **kwargs: Any
    ) -> str | None:
        return canonical_language(super()._deserialize(value, attr, data, **kwargs))


class Moment(fields.DateTime):
    """An ISO 8601 date or time; without a zone it is UTC."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        try:
            text = str(value).strip()
            # A plus sign that a client forgot to encode arrives as a blank.
            moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return moment.astimezone(UTC)
        except (ValueError, OverflowError) as error:  # past the years 1 to 9999 in UTC
            raise ValidationError("Not an ISO 8601 date or time.") from error


def refuse_unknown_option(name: str, known: Iterable[str]) -> None:
    """Raise OptionInvalid unless the name is one of these."""
    names = sorted(known)
    if name not in names:
        raise OptionInvalid(
            f"unknown option {name[:SHOWN_CHARS]!r}{did_you_mean(name, names)}",
            option=name[:SHOWN_CHARS],
            allowed=names,
        )


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """A hint for the end of a message, or nothing."""
    near = get_close_matches(word[:SHOWN_CHARS].lower(), list(allowed), n=1)
    return f", did you mean {near[0]!r}?" if near else ""
