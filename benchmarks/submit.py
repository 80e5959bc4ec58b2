"""Recordings sent to a running server, by the project's own client."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.server import RunningServer
from client.api import Params, Server
from client.contract import Job
from client.files import stream_size
from client.patience import Patience
from client.upload import Upload

LONG_POLL_S = 30.0


@dataclass(frozen=True)
class Finished:
    """A job that has ended, and the seconds from the first byte sent to knowing so."""

    job: Job
    wall_s: float

    @property
    def text(self) -> str:
        """The transcript; empty for a job that failed."""
        return str(self.job.raw.get("transcription") or "")

    @property
    def error(self) -> str | None:
        """Why there is no transcript, None when there is one."""
        if self.job.is_completed:
            return None
        return f"{self.job.status}: {self.job.error_code or 'no code'}"


def connect(server: RunningServer) -> Server:
    """A client of the server; it asks again where trouble may pass, as it does for users."""
    return Server(server.url, server.admin_key, Patience(note=lambda _text: None))


async def submit_file(server: Server, path: Path, options: Params) -> Job:
    """Send one recording; the job as accepted. Raises ClientError."""
    with path.open("rb") as stream:
        upload = Upload(
            stream=stream,
            size_bytes=stream_size(stream),
            filename=path.name,
            content_type="application/octet-stream",
            on_sent=lambda _sent: None,
        )
        return await server.submit(upload, options)


async def transcribe_file(server: Server, path: Path, options: Params) -> Finished:
    """Send one recording and follow its job to the end. Raises ClientError."""
    started_at = perf_counter()
    job = await submit_file(server, path, options)
    while not job.is_finished:
        job = await server.get_job(job.id, wait_s=LONG_POLL_S)
    return Finished(job, perf_counter() - started_at)


async def remove_job(server: Server, job_id: str) -> None:
    """Cancel a job that waits and remove what is left of it. Raises ClientError."""
    await server.cancel_job(job_id)
    await server.purge_job(job_id)
