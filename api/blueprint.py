"""The blueprint and the argument parser that every resource uses."""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Request
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import Schema
from webargs.flaskparser import FlaskParser

from api.credentials import parameters_of
from api.errors import STATUS_OF_CODE
from api.json_body import MESSAGE, UNREADABLE, read_whole, require_json
from api.multipart import receive_form
from api.schemas.errors import ErrorSchema
from api.scopes import OPEN_BLUEPRINTS
from api.security import describe_access
from api.uploads import open_upload
from domain.errors import OptionInvalid, RequestError

View = Callable[..., Any]


class Parser(FlaskParser):
    """Reads a value once, refuses it twice, and takes an empty one for not given."""

    def load_querystring(self, req: Request, schema: Schema) -> Mapping[str, str]:  # noqa: ARG002 - the library's signature
        """The query parameters. Raises OptionInvalid when one is repeated differently."""
        return single_values(parameters_of(req))

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The JSON body. Raises as `read_json`; an empty body is no value at all."""
        if req.content_length:
            require_json(req)
        if req.is_json:
            read_whole(req)  # the library takes a body that breaks off for a fault of ours
        try:
            return super().load_json(req, schema)
        except UNREADABLE as error:
            raise RequestError(MESSAGE) from error


parser = Parser()


@parser.location_loader("multipart")
def load_multipart(req: Request, schema: Schema) -> Mapping[str, Any]:
    """Fields of a form, and under `file` the upload that the file was written into."""
    form = receive_form(
        req,
        known=schema.load_fields,
        open_upload=open_upload,
        is_file_required=getattr(schema.load_fields.get("file"), "required", False),
    )
    values: dict[str, Any] = dict(single_values(form.fields))
    if form.file is not None:
        values["file"] = form.file
    return values


class Blueprint(SmorestBlueprint):  # type: ignore[misc]
    """Knows the multipart location, and documents errors by their codes."""

    ARGUMENTS_PARSER = parser
    DEFAULT_LOCATION_CONTENT_TYPE_MAPPING = {  # noqa: RUF012 - the library's class attribute
        **SmorestBlueprint.DEFAULT_LOCATION_CONTENT_TYPE_MAPPING,
        "multipart": "multipart/form-data",
    }

    # The library ships no types; these are what our views rely on.
    route: Callable[..., Callable[[Any], Any]]
    doc: Callable[..., Callable[[View], View]]
    response: Callable[..., Callable[[View], View]]
    alt_response: Callable[..., Callable[[View], View]]
    before_request: Callable[[View], View]
    after_request: Callable[[View], View]

    # What a failure looks like; doors of other APIs have schemas of their own.
    ERROR_SCHEMA: type[Schema] = ErrorSchema

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(self._document_access)

    def _document_access(
        self, doc: dict[str, Any], _info: dict[str, Any], *, method: str, **_: object
    ) -> dict[str, Any]:
        if self.ERROR_SCHEMA is not ErrorSchema:
            content = {"application/json": {"schema": self.ERROR_SCHEMA}}
            doc["responses"]["default"] = {"description": "Any other failure", "content": content}
        is_open = self.name in OPEN_BLUEPRINTS or method == "options"
        return describe_access(doc, is_open=is_open, schema=self.ERROR_SCHEMA)

    def status_of(self, code: str) -> int:
        """The status that goes with a code; a door of another API may have its own."""
        return STATUS_OF_CODE[code]

    def arguments(self, schema: Any, **kwargs: Any) -> Callable[[View], View]:
        """As the library's, but the 422 answer is documented by `fails` alone."""
        decorate = super().arguments(schema, **kwargs)

        def wrap(view: View) -> View:
            wrapped: View = decorate(view)
            wrapped._apidoc["arguments"].pop("responses", None)  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
            return wrapped

        return wrap

    def fails(self, *codes: str) -> Callable[[View], View]:
        """Document the error codes that this operation may answer with."""
        by_status: dict[int, list[str]] = {}
        for code in codes:
            by_status.setdefault(self.status_of(code), []).append(code)

        def wrap(view: View) -> View:
            for status, names in by_status.items():
                view = self.alt_response(
                    status,
                    schema=self.ERROR_SCHEMA,
                    description=f"{HTTPStatus(status).phrase}: "
                    + ", ".join(f"`{name}`" for name in names),
                )(view)
            return view

        return wrap


def single_values(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One value per name. Raises OptionInvalid for a second, different one."""
    values: dict[str, str] = {}
    for name, value in items:
        if "\0" in value or "\0" in name:
            raise OptionInvalid("a value holds a NUL character", option=name.replace("\0", ""))
        if values.setdefault(name, value) != value:
            raise OptionInvalid(f"{name} is given twice, with different values", option=name)
    return {name: value for name, value in values.items() if value != ""}
