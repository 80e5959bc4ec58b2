"""/uploads: recordings that survive a lost connection, by the tus protocol 1.0.0."""

from typing import Any
from uuid import UUID

from flask import Response, request, url_for
from flask.views import MethodView
from werkzeug.exceptions import MethodNotAllowed, UnsupportedMediaType

from api.audit import leave_out_of_audit
from api.blueprint import Blueprint, parser
from api.body import limit_body, read_body
from api.client_id import CLIENT_PARAMETER, current_client
from api.current import current_services, current_tenant
from api.idempotency import PARAMETER as IDEMPOTENCY_PARAMETER
from api.idempotency import idempotency
from api.schemas.base import NoQuerySchema
from api.schemas.errors import ErrorSchema
from api.schemas.options import options_from
from api.schemas.resumable import UploadMetadataSchema
from api.scopes import needs
from api.submission_codes import RECORDING_CODES, STORAGE_CODES, TENANT_CODES
from api.submissions import current_submission
from api.tus_headers import (
    ALGORITHMS,
    EXTENSIONS,
    MEDIA_TYPE,
    VERSION,
    checksum_header,
    length_header,
    progress_headers,
)
from domain.errors import RequestError, TusVersionUnsupported, UploadNotFound
from domain.filenames import clean_filename
from services.upload_sessions import (
    UploadView,
    append_piece,
    begin_upload,
    discard_upload,
    get_upload,
)

blp = Blueprint(
    "resumable", __name__, description="Recordings in pieces, by the tus protocol 1.0.0"
)

OVERRIDE = "X-HTTP-Method-Override"
TEXT = {"type": "string"}
NUMBER = {"type": "integer", "minimum": 0}
PIECE_BODY = {
    "required": False,
    "description": "The bytes from Upload-Offset on, as many as arrive",
    "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
}
PIECE_CODES = (
    "request_invalid",
    "option_invalid",
    "upload_interrupted",
    "upload_offset_mismatch",
    "tus_version_unsupported",
    "upload_too_large",
    "media_type_unsupported",
    "upload_locked",
    *RECORDING_CODES,
    *TENANT_CODES,
    "idempotency_conflict",
    "database_unavailable",
    *STORAGE_CODES,
)


def header(name: str, schema: dict[str, Any], description: str, *, required: bool = False) -> Any:
    """A header of the request, for the specification."""
    return {
        "in": "header",
        "name": name,
        "schema": schema,
        "description": description,
        "required": required,
    }


TUS = header("Tus-Resumable", {**TEXT, "enum": [VERSION]}, "The protocol", required=True)
CHECKSUM = header("Upload-Checksum", TEXT, f"Of this piece: one of {', '.join(ALGORITHMS)}, Base64")


@blp.before_request
def require_version() -> None:
    """Refuse clients of another version, before anything else. Raises TusVersionUnsupported."""
    if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != VERSION:
        raise TusVersionUnsupported(
            f"send Tus-Resumable: {VERSION}, or the recording to /transcribe/", supported=[VERSION]
        )


@blp.after_request
def say_version(response: Response) -> Response:
    """What every answer of the protocol carries, refusals too."""
    response.headers["Tus-Resumable"] = response.headers["Tus-Version"] = VERSION
    return response


@blp.route("/uploads", parameters=[CLIENT_PARAMETER])
class Uploads(MethodView):
    """Where uploads begin."""

    @blp.response(204, description="What this server can do, in its headers")
    def options(self) -> Response:
        """Say which version, extensions and sizes of the protocol are served."""
        return capabilities()

    @blp.doc(
        parameters=[
            TUS,
            header("Upload-Length", NUMBER, "Bytes of the whole recording", required=True),
            IDEMPOTENCY_PARAMETER,
            header("Upload-Metadata", TEXT, "filename, filetype and options: names and Base64"),
            CHECKSUM,
        ],
        requestBody=PIECE_BODY,
    )
    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(201, description="Its Location is where the pieces go")
    @blp.fails(
        *PIECE_CODES, "validation_error", "file_missing", "too_many_uploads", "webhook_url_refused"
    )
    def post(self, _query: dict[str, Any]) -> Response:
        """Begin an upload; options are checked now, the recording when it is whole."""
        view = begin()
        where = url_for("resumable.ResumableUpload", upload_id=view.upload_id)
        if request.mimetype == MEDIA_TYPE:
            view = receive_piece(view, offset=0)
        return Response(status=201, headers={**progress_headers(view), "Location": where})


@blp.route("/uploads/<string:upload_id>")
class ResumableUpload(MethodView):
    """One upload."""

    @blp.response(204, description="As of /uploads")
    def options(self, upload_id: str) -> Response:  # noqa: ARG002 - the route's signature
        """Say which version, extensions and sizes of the protocol are served."""
        return capabilities()

    @needs("submit")  # it is part of a submission, and writes nothing
    @blp.doc(parameters=[TUS])
    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, description="`Upload-Offset` is where to go on")
    @blp.fails(
        "upload_not_found", "tus_version_unsupported", "option_invalid", "database_unavailable"
    )
    def head(self, _query: dict[str, Any], upload_id: str) -> Response:
        """Say how much has arrived, and once it is a job which (`X-Job-ID`)."""
        view = find(upload_id)
        headers = {**with_job(view), "Upload-Length": str(view.length_bytes)}
        if view.said:
            headers["Upload-Metadata"] = view.said
        return Response(headers=headers)

    @blp.doc(
        parameters=[
            TUS,
            header("Upload-Offset", NUMBER, "Where this piece begins", required=True),
            CHECKSUM,
        ],
        requestBody=PIECE_BODY,
    )
    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(204, description="`Upload-Offset` is where to go on; with the last byte X-Job-ID")
    @blp.alt_response(
        460, schema=ErrorSchema, description="`upload_checksum_mismatch`: the piece is forgotten"
    )
    @blp.fails("upload_not_found", *PIECE_CODES)
    def patch(self, _query: dict[str, Any], upload_id: str) -> Response:
        """Append a piece. What arrives before a connection breaks is kept."""
        return append(upload_id)

    @blp.doc(parameters=[TUS])
    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(204, description="Gone, with what had arrived; a job made of it stays")
    @blp.fails(
        "upload_not_found",
        "upload_locked",
        "tus_version_unsupported",
        "option_invalid",
        "database_unavailable",
    )
    def delete(self, _query: dict[str, Any], upload_id: str) -> Response:
        """End an upload."""
        return end(upload_id)

    @blp.doc(
        parameters=[TUS, header(OVERRIDE, {**TEXT, "enum": ["PATCH", "DELETE"]}, "The method")],
        requestBody=PIECE_BODY,
    )
    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(204, description="As the method that is named")
    @blp.fails("upload_not_found", "method_not_allowed", *PIECE_CODES)
    def post(self, _query: dict[str, Any], upload_id: str) -> Response:
        """Append or end, for clients behind proxies that let only GET and POST through."""
        method = request.headers.get(OVERRIDE, "").upper()
        if method == "DELETE":
            return end(upload_id)
        if method == "PATCH":
            return append(upload_id)
        raise MethodNotAllowed(valid_methods=["HEAD", "PATCH", "DELETE", "OPTIONS"])


def capabilities() -> Response:
    """The answer to OPTIONS."""
    return Response(
        status=204,
        headers={
            "Tus-Extension": ",".join(EXTENSIONS),
            "Tus-Max-Size": str(current_services().settings.max_session_bytes),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        },
    )


def begin() -> UploadView:
    """Open the session that the headers of this request describe."""
    for name in ("Upload-Defer-Length", "Upload-Concat"):
        if name in request.headers:
            raise RequestError(f"{name} is not supported: send Upload-Length", header=name)
    if request.content_length and request.mimetype != MEDIA_TYPE:
        raise UnsupportedMediaType(f"a first piece is {MEDIA_TYPE}")
    length_bytes = length_header(request, "Upload-Length")
    current_client()  # raises for a bad one, before anything is kept
    given: dict[str, Any] = parser.parse(
        UploadMetadataSchema(), request, location="upload_metadata"
    )
    services = current_services()
    return begin_upload(
        services,
        length_bytes=length_bytes,
        said=request.headers.get("Upload-Metadata", ""),
        options=options_from(given, default_model=services.settings.model_size),
        submission=current_submission(
            given,
            filename=clean_filename(given.get("filename")),
            content_type=given.get("filetype"),
            once=idempotency(),
        ),
    )


def append(upload_id: str) -> Response:
    """Take the piece in the body of this request."""
    if request.mimetype != MEDIA_TYPE:
        raise UnsupportedMediaType(f"a piece is {MEDIA_TYPE}")
    offset = length_header(request, "Upload-Offset")
    view = receive_piece(find(upload_id), offset=offset)
    if view.job_id is None:
        leave_out_of_audit()  # a large recording has hundreds of pieces
    return Response(status=204, headers=with_job(view))


def receive_piece(view: UploadView, *, offset: int) -> UploadView:
    """Append the body of this request to an upload."""
    checksum = checksum_header(request)
    room = max(0, view.length_bytes - offset)
    # Without a length and not in chunks there is no body (RFC 9112, 6.3): a piece of no bytes.
    has_body = request.content_length is not None or "Transfer-Encoding" in request.headers
    if has_body:
        limit_body(request, room)
    return append_piece(
        current_services(),
        view.upload_id,
        read_body(request, room) if has_body else (),
        tenant=current_tenant(),
        offset=offset,
        checksum=checksum,
    )


def end(upload_id: str) -> Response:
    """Remove an upload."""
    discard_upload(current_services(), parse_upload_id(upload_id), tenant=current_tenant())
    return Response(status=204)


def find(upload_id: str) -> UploadView:
    """The upload of this address. Raises UploadNotFound."""
    return get_upload(current_services(), parse_upload_id(upload_id), tenant=current_tenant())


def parse_upload_id(value: str) -> UUID:
    """The id in an address. Raises UploadNotFound for what is no UUID."""
    try:
        return UUID(value)
    except ValueError as error:
        raise UploadNotFound("there is no unfinished or recent upload with this id") from error


def with_job(view: UploadView) -> dict[str, str]:
    """The headers of an upload, with the address of the job that it became."""
    headers = progress_headers(view)
    if view.job_id is not None:
        headers["Location"] = url_for("transcriptions.Transcription", job_id=view.job_id)
    return headers
