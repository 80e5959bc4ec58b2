import io

import pytest

from client.errors import InputChanged
from client.upload import UPLOAD_BLOCK_BYTES, Upload


def make_upload(content, size_bytes=None):
    size = len(content) if size_bytes is None else size_bytes
    return Upload(io.BytesIO(content), size, "a.mp3", "audio/mpeg", on_sent=lambda _: None)


def test_a_second_try_starts_from_the_first_byte():
    upload = make_upload(b"x" * (UPLOAD_BLOCK_BYTES + 5))
    next(upload.blocks(lambda _: None))
    reported = []

    content = b"".join(upload.blocks(reported.append))

    assert len(content) == UPLOAD_BLOCK_BYTES + 5
    assert reported == [0, UPLOAD_BLOCK_BYTES, UPLOAD_BLOCK_BYTES + 5]
    assert upload.is_sent


def test_an_upload_counts_as_sent_only_when_the_last_block_has_left():
    upload = make_upload(b"x")
    blocks = upload.blocks(lambda _: None)

    next(blocks)
    before = upload.is_sent
    rest = list(blocks)

    assert (before, rest, upload.is_sent) == (False, [], True)


def test_a_file_that_grows_is_sent_to_the_length_it_had():
    upload = make_upload(b"recording and more", size_bytes=9)

    assert b"".join(upload.blocks(lambda _: None)) == b"recording"


def test_a_file_that_is_cut_short_while_it_is_sent_is_an_error():
    upload = make_upload(b"short", size_bytes=10)

    with pytest.raises(InputChanged, match="5 of 10 bytes"):
        list(upload.blocks(lambda _: None))
