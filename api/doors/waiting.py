"""Requests that hold their connection open until their job has ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from flask import Response, request

from api.admission import outside
from api.current import current_hub, current_services, current_tenant
from api.idempotency import idempotency_key
from api.sse import current_connection
from domain.errors import JobTimedOut, OptionInvalid
from services.synchronous import ClientGone, Finished, await_transcript

JOB_HEADER = "X-Job-ID"
KEEP_HEADER = "X-Keep-Job"
CLIENT_CLOSED_REQUEST = 499  # nginx's number; only the log shows it

JOB_HEADERS = {JOB_HEADER: {"description": "The job", "schema": {"type": "string"}}}
KEEP_PARAMETER = {
    "in": "header",
    "name": KEEP_HEADER,
    "schema": {"type": "boolean", "default": False},
    "description": "Let the job go on when this connection is closed before the answer. "
    "Without it the job is cancelled then, but for one with an Idempotency-Key: its client may "
    "ask again.",
}


def is_job_kept() -> bool:
    """Whether the client wants its job to go on without it. Raises OptionInvalid.

    Whoever sends an Idempotency-Key means to ask again after a lost connection, and to find it.
    """
    given = request.headers.get(KEEP_HEADER, "").strip().lower()
    if given not in ("true", "false", ""):
        raise OptionInvalid(f"{KEEP_HEADER} is true or false", option=KEEP_HEADER)
    return given == "true" if given else idempotency_key() is not None


@contextmanager
def waiting_place() -> Iterator[None]:
    """A place among those who wait, to be had before the job is made. Raises TooManyStreams.

    Every request that waits holds a thread, as an event stream does, and counts as one: so
    however many wait, the threads of WEB_THREADS are left for everybody else.
    """
    hub = current_hub()
    listener = hub.reserve()
    try:
        yield
    finally:
        hub.release(listener)


def await_job(job_id: UUID, *, keep: bool = False) -> Finished:
    """The job of this request and its transcript. Raises as `await_transcript`.

    A server that stops does not wait: JobTimedOut, and the job goes on.
    With `keep` the job goes on without its client, whatever that said: for one that an earlier
    request made, whose client may wait for it as well.
    """
    hub, connection = current_hub(), current_connection()

    def is_gone() -> bool:
        if hub.is_closing:
            raise JobTimedOut("the server stops, the job goes on", job_id=str(job_id))
        return connection.is_gone()

    with outside(request.environ):
        return await_transcript(
            current_services(),
            job_id,
            tenant=current_tenant(),
            is_gone=is_gone,
            keep_if_gone=keep or is_job_kept(),
        )


def answer_nobody(_error: ClientGone) -> Response:
    """What is left to say when the client is gone. For `register_error_handler`."""
    return Response(status=CLIENT_CLOSED_REQUEST)
