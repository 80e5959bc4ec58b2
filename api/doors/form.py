"""A door's multipart form: its fields as they come, and as values by the door's schema.

Clients of these APIs write a list as `x[]`, repeated, or as a repeated `x`, and the parts of an
object as `x[part]`. The schema says which field is which: a `fields.List` is a list, an `InParts`
has parts, everything else comes once.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from flask import request
from marshmallow import Schema, ValidationError, fields

from api.blueprint import single_values
from api.doors.problem import Refused
from api.multipart import FILE, MAX_PARTS, Form, receive_form
from api.schemas.base import refuse_unknown_option
from api.uploads import open_upload
from domain.errors import OptionInvalid
from storage.base import Upload

Pairs = Sequence[tuple[str, str]]


class InParts(fields.Field[Any]):
    """A word, or an object that comes as JSON or in parts: `x[part]`. The parts stay texts."""

    def __init__(self, parts: Collection[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = tuple(parts)

    def _deserialize(self, value: Any, attr: str | None, *_: Any, **__: Any) -> Any:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = parse_json(value)
        for part in value if isinstance(value, Mapping) else ():
            refuse_unknown_option(f"{attr}[{part}]", [f"{attr}[{known}]" for known in self.parts])
        return value


class JsonText(fields.Field[Any]):
    """Any JSON, written into one field."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return parse_json(value)


def parse_json(text: str) -> Any:
    """The value. Raises marshmallow's ValidationError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValidationError("Not valid JSON.") from error


def receive_door_form(
    names: Collection[str],
    *,
    is_file_required: bool = True,
    before_file: Callable[[Pairs], None] = lambda _pairs: None,
    max_parts: int = MAX_PARTS,
) -> Form:
    """Read the body of this request: fields as pairs, the file straight into the store.

    `names` are all that the door knows, from `names_of`. `before_file` is called with the fields
    that came before the file, and may refuse to take it. Raises as `receive_form`.
    """
    form = Form()

    def begin() -> Upload:
        before_file(form.fields)
        return open_upload()

    return receive_form(
        request,
        known=names,
        open_upload=begin,
        is_file_required=is_file_required,
        into=form,
        max_parts=max_parts,
    )


def names_of(schema: Schema) -> set[str]:
    """Every name under which a field of the schema may arrive, the file included."""
    names = {FILE}
    for name, field in schema.load_fields.items():
        names.add(name)
        if isinstance(field, fields.List):
            names.add(f"{name}[]")
        elif isinstance(field, InParts):
            names |= {f"{name}[{part}]" for part in field.parts}
    return names


def values_of(form: Form, schema: Schema) -> dict[str, Any]:
    """The form's values by the schema, the file among them.

    An empty value counts as not given. Raises OptionInvalid for a single field that comes twice
    with different values, for a NUL character and as the schema's own fields do; Refused naming
    the field for a value of the wrong type.
    """
    values = _sorted_out(form.fields, schema)
    if form.file is not None:
        values[FILE] = form.file
    try:
        loaded: dict[str, Any] = schema.load(values)
    except ValidationError as error:
        messages: Any = error.messages  # by field: a schema was loaded
        field = str(next(iter(messages)))
        message = f"{field}: {_first_text(messages)}"
        raise Refused(field, message, code="validation_error") from error
    return loaded


def _sorted_out(pairs: Pairs, schema: Schema) -> dict[str, Any]:
    """Single values, lists, and parts under their objects."""
    known = schema.load_fields
    singles: list[tuple[str, str]] = []
    lists: dict[str, list[str]] = defaultdict(list)
    parts: list[tuple[str, str]] = []
    for name, value in pairs:
        single_values([(name, value)])  # no NUL, in whatever field
        base, bracket, _ = name.partition("[")
        if isinstance(known.get(base), fields.List):
            lists[base].append(value)
        elif bracket:
            parts.append((name, value))
        else:
            singles.append((name, value))
    values: dict[str, Any] = dict(single_values(singles))
    values |= {name: found for name, given in lists.items() if (found := [*filter(None, given)])}
    for name, value in single_values(parts).items():
        base, _, part = name.removesuffix("]").partition("[")
        found = values.setdefault(base, {})
        if not isinstance(found, dict):
            raise OptionInvalid(f"{base} is given twice, as a word and in parts", option=base)
        found[part] = value
    return values


def _first_text(messages: Any) -> str:
    """The first sentence of what may be a tree of them."""
    while not isinstance(messages, str):
        branches: Iterable[Any] = messages.values() if isinstance(messages, dict) else messages
        messages = next(iter(branches), "not valid")
    return messages
