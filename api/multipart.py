"""A multipart form, read as it arrives: the file goes straight into the store, once."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import chain

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
    Preamble,
)

from api.body import read_body
from api.schemas.base import refuse_unknown_option
from domain.errors import FileMissing, OptionInvalid, RequestError, UploadInterrupted
from domain.filenames import clean_filename
from storage.base import Upload

FILE = "file"
MAX_PARTS = 64
MAX_FIELD_BYTES = 256 * 1024
MAX_FIELDS_BYTES = 4 * 1024 * 1024  # of all fields together
JSON_TYPE = "application/json"
MAX_BUFFER_BYTES = 1024 * 1024  # one piece of the body and the headers of a part


@dataclass(frozen=True)
class FormFile:
    """The file part. `upload` is in the store already, but not committed."""

    upload: Upload
    filename: str | None
    content_type: str | None


@dataclass
class Form:
    """What a form said. A field that came twice stands twice."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    file: FormFile | None = None


def receive_form(
    request: Request,
    *,
    known: Collection[str],
    open_upload: Callable[[], Upload],
    is_file_required: bool = True,
    into: Form | None = None,
    max_parts: int = MAX_PARTS,
) -> Form:
    """Read the whole body; `into` lets the caller see the fields while the rest is on its way.

    Raises OptionInvalid for an unknown field as soon as it begins, FileMissing without a
    file, UploadInterrupted when the form breaks off, RequestError when it is no form.
    """
    collector = PartCollector(known, open_upload, Form() if into is None else into)
    receive_parts(request, collector, max_parts=max_parts)
    if collector.form.file is None and is_file_required:
        raise FileMissing(f"the form has no part named {FILE!r}", option=FILE)
    return collector.form


def receive_parts(request: Request, collector: "PartCollector", *, max_parts: int) -> None:
    """Read the whole body into the collector. Raises as `receive_form`."""
    decoder = MultipartDecoder(_boundary(request), MAX_BUFFER_BYTES, max_parts=max_parts)
    body = read_body(request, request.max_content_length or 0)
    for chunk in chain(body, [None]):
        for event in _events(decoder, chunk):
            collector.take(event)


def _boundary(request: Request) -> bytes:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("send multipart/form-data here, or the raw recording by PUT")
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary or not boundary.isascii():
        raise RequestError("the Content-Type of the form names no boundary")
    return boundary.encode()


def _events(decoder: MultipartDecoder, chunk: bytes | None) -> list[Event]:
    events: list[Event] = []
    try:
        decoder.receive_data(chunk)
        while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
            events.append(event)
    except RequestEntityTooLarge as error:
        raise RequestError("the form has too many parts, or one with endless headers") from error
    except ValueError as error:
        if chunk is None:
            raise UploadInterrupted("the form ends before its closing boundary") from error
        raise RequestError("the form is malformed: a part's headers cannot be read") from error
    return events


class PartCollector:
    """Puts the parts of one form where they belong: fields, and one file."""

    file_part = FILE

    def __init__(
        self, known: Collection[str], open_upload: Callable[[], Upload], form: Form
    ) -> None:
        self.form = form
        self._known = known
        self._open_upload = open_upload
        self._name = ""
        self._value = bytearray()
        self._fields_bytes = 0

    def take(self, event: Event) -> None:
        """Digest the next event of the form."""
        if isinstance(event, Field | File):
            self._begin(event)
        elif isinstance(event, Data):
            self._append(event)
        elif not isinstance(event, Preamble):
            raise RequestError("the form is malformed")

    def _begin(self, part: Field | File) -> None:
        self._name = part.name or ""
        self._value.clear()
        refuse_unknown_option(self._name, self._known)
        if self._name == self.file_part:
            self.begin_file(part)
        # JavaScript's forms write a JSON value as a file of that type.
        elif isinstance(part, File) and part.headers.get("content-type") != JSON_TYPE:
            raise OptionInvalid(f"{self._name} is a field, not a file", option=self._name)

    def begin_file(self, part: Field | File) -> None:
        """Open the file of this part."""
        if self.form.file is not None:
            raise OptionInvalid("one recording per request: a second file came", option=FILE)
        self.form.file = FormFile(
            self._open_upload(), filename_of(part), part.headers.get("content-type")
        )

    def write_file(self, event: Data) -> None:
        """Take what came of the file."""
        if self.form.file is not None:
            self.form.file.upload.write(event.data)

    def _append(self, event: Data) -> None:
        if self._name == self.file_part:
            self.write_file(event)
            return
        self._value += event.data
        self._fields_bytes += len(event.data)
        if self._fields_bytes > MAX_FIELDS_BYTES:
            raise RequestError("the fields of the form are too long", maximum=MAX_FIELDS_BYTES)
        if len(self._value) > MAX_FIELD_BYTES:
            raise OptionInvalid(
                f"{self._name} is too long", option=self._name, maximum=MAX_FIELD_BYTES
            )
        if not event.more_data:
            self.form.fields.append((self._name, _decode(self._name, bytes(self._value))))


def filename_of(part: Field | File) -> str | None:
    """The name that the client gave the file, fit to be shown."""
    name = part.filename if isinstance(part, File) else None
    # Browsers and curl write a quote in a name as %22.
    return clean_filename(name.replace("%22", '"') if name else None)


def _decode(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise OptionInvalid(f"{name} is not UTF-8", option=name) from error
