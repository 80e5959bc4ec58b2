"""The way of one file: send it, watch its job, fetch the transcript."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from client.addresses import form_with
from client.api import Server
from client.contract import Job
from client.errors import ClientError, InputChanged, JobNotCompleted, ServerUnreachable
from client.files import Input, stream_size
from client.progress import Display
from client.track import Track
from client.upload import Upload

LONG_POLL_S = 20.0
# Each held poll occupies a thread of the server, and other people wait there too.
LONG_POLLS_AT_ONCE = 8
LEAST_PAUSE_S = 1.0  # between two answers that say the same
RUNNING_PAUSE_S = 2.0  # between plain polls of a job at work
MAX_PAUSE_S = 60.0
LAST_ANSWER_S = 5.0  # what Ctrl-C grants an upload that is complete


@dataclass(eq=False)
class FileRun:
    """One file of a run, and how far it came."""

    item: Input
    track: Track
    spool: BinaryIO | None = None  # standard input, already read
    job: Job | None = None
    error: ClientError | None = None

    @property
    def is_on_server(self) -> bool:
        """True while the server has a job of ours that has not ended."""
        return self.job is not None and not self.job.is_finished


async def send_file(
    server: Server, display: Display, run: FileRun, options: Mapping[str, str]
) -> Job:
    """Upload the file; its job. Raises ClientError. Cancelled: keeps a job that was accepted."""
    stream, content_type = _open(run)
    with stream:
        upload = Upload(
            stream=stream,
            size_bytes=stream_size(stream),
            filename=run.item.filename,
            content_type=content_type,
            on_sent=lambda sent: display.note_sent(run.track, sent),
            is_form=run.item.address is not None,
        )
        run.track.size_bytes = upload.size_bytes
        sending = asyncio.create_task(server.submit(upload, options))
        try:
            run.job = await asyncio.shield(sending)
        except asyncio.CancelledError:
            run.job = await _last_answer(sending, upload)
            raise
    display.note_job(run.track, run.job)
    return run.job


def _open(run: FileRun) -> tuple[BinaryIO, str]:
    """What is sent, and its media type. Raises InputChanged."""
    if run.item.address:
        form, content_type = form_with(run.item.address)
        return BytesIO(form), content_type
    try:
        # Opening is as quick as the check that the file was there, made a moment ago.
        return run.spool or run.item.path.open("rb"), run.item.content_type
    except OSError as error:
        raise InputChanged(f"cannot be read any more: {error.strerror}") from error


async def _last_answer(sending: asyncio.Task[Job], upload: Upload) -> Job | None:
    """The job that a complete upload became, so that it can be cancelled; else None."""
    if upload.abandon():
        sending.cancel()
    with contextlib.suppress(asyncio.CancelledError, TimeoutError, ClientError):
        return await asyncio.wait_for(sending, LAST_ANSWER_S)
    return None


class Watcher:
    """Follows jobs to their end, sharing a few long polls among many."""

    def __init__(self, server: Server, display: Display) -> None:
        self._server = server
        self._display = display
        self._slots = asyncio.Semaphore(LONG_POLLS_AT_ONCE)
        self._watched = 0

    async def follow(self, run: FileRun, job_id: str) -> Job:
        """Watch until the job has ended; its last state. Raises ClientError when it is lost."""
        self._watched += 1
        try:
            # Not held: the place in the queue should be seen at once.
            run.job = await self._server.get_job(job_id)
            self._display.note_job(run.track, run.job)
            while not run.job.is_finished:
                run.job = await self._next_state(run.track, run.job)
                self._display.note_job(run.track, run.job)
        except ServerUnreachable as error:
            raise ServerUnreachable(f"{error}; job {job_id} may still be running there") from error
        finally:
            self._watched -= 1
        return run.job

    async def _next_state(self, track: Track, before: Job) -> Job:
        asked_at = time.monotonic()
        if self._slots.locked():
            await asyncio.sleep(self._pause_s(track))
            job = await self._server.get_job(before.id)
        else:
            async with self._slots:
                job = await self._server.get_job(before.id, wait_s=LONG_POLL_S)
        # A server that does not hold the answer must not be asked in a tight loop.
        passed_s = time.monotonic() - asked_at
        if job.raw == before.raw and passed_s < LEAST_PAUSE_S:
            await asyncio.sleep(LEAST_PAUSE_S - passed_s)
        return job

    def _pause_s(self, track: Track) -> float:
        if track.is_running:
            return RUNNING_PAUSE_S
        return min(MAX_PAUSE_S, max(RUNNING_PAUSE_S, self._watched / LONG_POLLS_AT_ONCE))


def check_completed(job: Job) -> None:
    """Raises JobNotCompleted for a job that ended without a transcript."""
    if job.is_completed:
        return
    if job.error_message:
        code = f" ({job.error_code})" if job.error_code else ""
        raise JobNotCompleted(f"{job.error_message}{code}, job {job.id}")
    raise JobNotCompleted(f"the job was {job.status}, job {job.id}")
