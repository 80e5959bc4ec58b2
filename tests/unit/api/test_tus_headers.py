"""What the headers of the tus protocol say, and which of them cannot be read."""

import base64

import pytest
from flask import Flask, request

from api.schemas.resumable import UploadMetadataSchema
from api.tus_headers import checksum_header, length_header, load_metadata
from domain.errors import OptionInvalid, RequestError


@pytest.fixture
def given():
    app = Flask(__name__)

    def given(**headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return app.test_request_context("/uploads", headers=named)

    return given


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def test_metadata_are_pairs_of_a_name_and_base64(given):
    said = f"filename {encoded('ü, 1.wav')}, language {encoded('en')},word_timestamps"

    with given(Upload_Metadata=said):
        found = load_metadata(request, UploadMetadataSchema())

    assert found == {"filename": "ü, 1.wav", "language": "en"}


def test_an_upload_may_say_nothing_about_itself(given):
    with given():
        found = load_metadata(request, UploadMetadataSchema())

    assert found == {}


@pytest.mark.parametrize("said", ["filename %%%", "filename abc", "filename gICA"])
def test_metadata_that_are_no_base64_of_utf8_are_refused(given, said):
    with given(Upload_Metadata=said), pytest.raises(RequestError):
        load_metadata(request, UploadMetadataSchema())


def test_a_name_that_says_two_different_things_is_refused(given):
    said = f"language {encoded('en')},language {encoded('de')}"

    with given(Upload_Metadata=said), pytest.raises(OptionInvalid):
        load_metadata(request, UploadMetadataSchema())


@pytest.mark.parametrize("length", ["", "-1", "1.5", "0x10", "¹", "1" * 19, "1,1"])
def test_a_length_is_a_number_of_bytes(given, length):
    with given(Upload_Length=length), pytest.raises(RequestError) as caught:
        length_header(request, "Upload-Length")

    assert caught.value.details == {"header": "Upload-Length"}


@pytest.mark.parametrize("length", ["0", "7", "1" * 18])
def test_a_length_is_read(given, length):
    with given(Upload_Length=length):
        found = length_header(request, "Upload-Length")

    assert found == int(length)


def test_a_checksum_is_an_algorithm_and_a_digest(given):
    with given(Upload_Checksum=f"sha1 {base64.b64encode(b'x' * 20).decode()}"):
        found = checksum_header(request)

    assert found is not None
    assert (found.algorithm, found.digest) == ("sha1", b"x" * 20)


@pytest.mark.parametrize("said", ["", "sha1", "sha1 AAAA", "crc32 AAAAAA==", "sha1 !!!"])
def test_a_checksum_that_cannot_be_one_is_refused(given, said):
    with given(Upload_Checksum=said), pytest.raises(RequestError):
        checksum_header(request)
