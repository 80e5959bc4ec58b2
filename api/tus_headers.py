"""The headers of the tus protocol 1.0.0.

https://tus.io/protocols/resumable-upload
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping

from flask import Request
from marshmallow import Schema
from werkzeug.http import http_date

from api.blueprint import parser, single_values
from domain.errors import RequestError
from services.upload_sessions import Checksum, UploadView

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "expiration", "termination", "checksum")
ALGORITHMS = ("sha256", "sha1", "md5")
MEDIA_TYPE = "application/offset+octet-stream"
MAX_DIGITS = 18  # more does not fit where lengths are kept


def length_header(request: Request, name: str) -> int:
    """A number of bytes. Raises RequestError when there is none."""
    value = request.headers.get(name, "")
    if not (value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS):
        raise RequestError(f"{name} must be a number of bytes", header=name)
    return int(value)


def checksum_header(request: Request) -> Checksum | None:
    """What the piece hashes to, when the client says so. Raises RequestError."""
    value = request.headers.get("Upload-Checksum")
    if value is None:
        return None
    algorithm, _, encoded = value.strip().partition(" ")
    digest = _decode(encoded, "Upload-Checksum")
    if algorithm not in ALGORITHMS:
        raise RequestError(
            f"Upload-Checksum names none of {', '.join(ALGORITHMS)}", allowed=list(ALGORITHMS)
        )
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise RequestError(f"Upload-Checksum is no {algorithm} digest", header="Upload-Checksum")
    return Checksum(algorithm, digest)


@parser.location_loader("upload_metadata")
def load_metadata(request: Request, schema: Schema) -> Mapping[str, str]:  # noqa: ARG001 - the library's signature
    """The pairs of Upload-Metadata. Raises RequestError when it cannot be read."""
    header = request.headers.get("Upload-Metadata", "")
    return single_values(_pair(item.strip()) for item in header.split(",") if item.strip())


def progress_headers(view: UploadView) -> dict[str, str]:
    """Where the upload stands, and until when it is kept."""
    headers = {
        "Upload-Offset": str(view.offset_bytes),
        "Upload-Expires": http_date(view.expires_at),
        "Cache-Control": "no-store",
    }
    if view.job_id is not None:
        headers["X-Job-ID"] = str(view.job_id)
    return headers


def _pair(item: str) -> tuple[str, str]:
    name, _, encoded = item.partition(" ")
    try:
        return name, _decode(encoded, "Upload-Metadata").decode()
    except UnicodeDecodeError as error:
        raise RequestError(
            "Upload-Metadata holds a value that is not UTF-8", header="Upload-Metadata"
        ) from error


def _decode(encoded: str, header: str) -> bytes:
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"{header} holds a value that is not Base64", header=header) from error
