"""The form of a speech-to-text request, as its clients write it."""

from collections.abc import Callable
from typing import Any

from marshmallow import Schema, ValidationError

from api.blueprint import single_values
from api.doors.elevenlabs.json_values import ABSENT
from api.doors.elevenlabs.values import MAX_KEYTERMS
from api.doors.form import Pairs, names_of, receive_door_form
from api.multipart import FILE, MAX_PARTS, Form
from domain.errors import ScriptoriumError

LIST = "keyterms"  # the one field that comes repeatedly


class FormInvalid(ScriptoriumError):
    """Fields of the form are not as they must be; `details` holds all of them by name."""

    code = "validation_error"


def load_form(schema: Schema, *, before_file: Callable[[Pairs], None]) -> dict[str, Any]:
    """Read the body of this request: the values by the schema, the file among them.

    `before_file` is called with the fields that came so far, before the file is taken, and at
    the end where no file came; it may refuse to go on. Raises FormInvalid, and as `receive_form`.
    """
    form = receive_door_form(
        names_of(schema),
        is_file_required=False,
        before_file=before_file,
        max_parts=MAX_PARTS + MAX_KEYTERMS,
    )
    values = check_form(form, schema)
    if form.file is None:
        before_file(form.fields)
    return values


def check_form(form: Form, schema: Schema) -> dict[str, Any]:
    """The values by the schema. Raises FormInvalid, OptionInvalid for a field that came twice.

    The official client writes `null` for what its caller left out, so that word counts as
    absent in every field, as an empty value does.
    """
    given = [(name.removesuffix("[]"), value) for name, value in form.fields]
    terms = [single_values([(name, value)]).get(name, "") for name, value in given if name == LIST]
    singles = single_values((name, value) for name, value in given if name != LIST)
    values: dict[str, Any] = {
        name: value for name, value in singles.items() if value.strip() not in ("", ABSENT)
    }
    if terms not in ([], [""], [ABSENT]):
        values[LIST] = terms
    if form.file is not None:
        values[FILE] = form.file
    try:
        loaded: dict[str, Any] = schema.load(values)
    except ValidationError as error:
        messages: dict[str, Any] = dict(error.messages)  # type: ignore[arg-type]  # by field
        raise FormInvalid(f"not valid: {', '.join(sorted(messages))}", **messages) from error
    return loaded
