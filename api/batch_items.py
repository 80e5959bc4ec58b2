"""What the items of a batch are, in the body of a request."""

from collections.abc import Mapping
from typing import Any

from flask import request
from marshmallow import ValidationError

from api.batch_form import ReceivedFile, received_files
from api.blueprint import parser, single_values
from api.body import limit_body
from api.current import current_services
from api.schemas.batches import BatchFormSchema, BatchItemSchema, BatchSchema
from api.schemas.labels import MAX_NAME_CHARS, require_storable
from api.schemas.options import options_from
from api.submissions import current_submission
from api.uploads import FORM_OVERHEAD_BYTES, open_upload
from domain.errors import OptionInvalid, RequestError, ScriptoriumError
from services.batches import Item


class FieldInvalid(RequestError):
    """A field of an item has the wrong type or range."""

    code = "validation_error"


def items_of_json() -> tuple[list[Item], str | None]:
    """The addresses in the JSON body, and the name of the batch."""
    given: dict[str, Any] = parser.parse(BatchSchema(), request, location="json")
    entries, name = given.pop("items"), given.pop("name", None)
    maximum = current_services().settings.max_batch_items
    if len(entries) > maximum:
        raise OptionInvalid(
            f"at most {maximum} recordings in a batch", option="items", maximum=maximum
        )
    items = [address_item(number, entry, given) for number, entry in enumerate(entries, start=1)]
    return items, name


def items_of_form() -> tuple[list[Item], str | None]:
    """The files in the form, which are in the store now, and the name of the batch."""
    services = current_services()
    schema, settings = BatchFormSchema(), services.settings
    largest = max(settings.max_session_bytes, settings.max_upload_bytes)
    limit_body(request, largest + FORM_OVERHEAD_BYTES)
    with received_files(
        request,
        services.storage,
        known=schema.load_fields,
        open_upload=open_upload,
        max_files=settings.max_batch_items,
    ) as form:
        given = checked(schema, single_values(form.form.fields))
        name = given.pop("name", None)
        items = [file_item(number, file, given) for number, file in enumerate(form.files, start=1)]
    return items, name


def address_item(number: int, entry: Any, shared: Mapping[str, Any]) -> Item:
    """One entry of the list, for itself: what is wrong with it is its own error."""
    try:
        given = {**shared, **checked(BatchItemSchema(), entry)}
        return Item(
            number,
            name=given.get("name"),
            options=options_from(given, default_model=current_services().settings.model_size),
            submission=current_submission(
                given, once={"idempotency_key": given.get("idempotency_key")}
            ),
            source_url=given["source_url"],
        )
    except ScriptoriumError as error:
        return Item(number, name=shown_name(entry), error=error)


def file_item(number: int, file: ReceivedFile, given: Mapping[str, Any]) -> Item:
    """One file of the form. Raises OptionInvalid for the options that all of them share."""
    return Item(
        number,
        name=file.filename,
        options=options_from(given, default_model=current_services().settings.model_size),
        submission=current_submission(
            given, filename=file.filename, content_type=file.content_type
        ),
        stored=file.stored,
        error=file.error,
    )


def checked(schema: BatchItemSchema | BatchFormSchema, values: Any) -> dict[str, Any]:
    """The values by the schema. Raises FieldInvalid, OptionInvalid."""
    try:
        require_storable(values)
        loaded: dict[str, Any] = schema.load(values)
    except ValidationError as error:
        messages = _messages(error)
        fields = {str(name): found for name, found in messages.items() if name != "_schema"}
        raise FieldInvalid(
            "not valid: " + ", ".join(sorted(fields) or ["the item"]), **(fields or messages)
        ) from error
    return loaded


def shown_name(entry: Any) -> str | None:
    """The name of an entry that was refused, where it has one that can be shown."""
    name = entry.get("name") if isinstance(entry, dict) else None
    try:
        require_storable(name)
    except ValidationError:
        return None
    return name[:MAX_NAME_CHARS] if isinstance(name, str) else None


def _messages(error: ValidationError) -> dict[str, Any]:
    messages = error.messages
    return messages if isinstance(messages, dict) else {"_schema": messages}
