import asyncio
import io
from pathlib import Path

import pytest

from client.errors import InputChanged
from client.files import Input
from client.progress import PlainDisplay, error_console
from client.run import FileRun, send_file
from client.track import Track
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


def test_an_abandoned_upload_hands_over_no_further_block():
    upload = make_upload(b"x" * (UPLOAD_BLOCK_BYTES + 5))
    blocks = upload.blocks(lambda _: None)
    next(blocks)

    assert upload.abandon()
    assert list(blocks) == []
    assert not upload.is_sent


def test_an_upload_of_which_the_last_block_is_on_its_way_may_be_complete():
    upload = make_upload(b"x")
    next(upload.blocks(lambda _: None))

    assert not upload.abandon()


def test_an_upload_that_starts_over_is_not_complete():
    upload = make_upload(b"x")
    list(upload.blocks(lambda _: None))

    upload.start_over()

    assert upload.abandon()


class SlowWriter:
    """A server that has the last byte before the one who sends it hears so."""

    def __init__(self, job):
        self.job = job
        self.has_it_all = asyncio.Event()
        self.answers = asyncio.Event()

    async def submit(self, upload, _options):
        next(upload.blocks(lambda _: None))
        self.has_it_all.set()
        await self.answers.wait()
        return self.job


def test_a_job_accepted_before_its_upload_is_known_to_have_left_is_not_forgotten(tmp_path):
    (tmp_path / "a.mp3").write_bytes(b"sound")
    display = PlainDisplay(error_console(), is_quiet=True)
    run = FileRun(Input(tmp_path / "a.mp3", Path(), "a.mp3"), Track("a.mp3"))

    async def interrupted():
        server = SlowWriter(job := object())
        task = asyncio.create_task(send_file(server, display, run, {}))
        await server.has_it_all.wait()
        task.cancel()
        await asyncio.sleep(0)
        server.answers.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return job

    assert asyncio.run(interrupted()) is run.job
