"""The text of a job as OpenAI's stream events, while it is decoded."""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from flask import Flask, Response, current_app

from api.current import current_hub, current_services, current_tenant
from api.doors.openai.deltas import Deltas
from api.doors.openai.problems import body_of
from api.doors.openai.requests import AudioRequest
from api.doors.openai.submitting import submit
from api.doors.problem import problem_of
from api.doors.waiting import JOB_HEADER, is_job_kept
from api.idempotency import mark_replayed
from api.sse import HEADERS, MEDIA_TYPE, current_connection
from domain.errors import JobTimedOut, ScriptoriumError
from formats.doors.openai import delta_event, done_event
from services.context import Services
from services.event_feed import RESETS
from services.event_hub import Connection, EventHub, Listener
from services.job_stream import JobCursor, JobStream
from services.stream_event import StreamEvent
from services.synchronous import finished_transcript, leave_job

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"  # a comment: clients pass it over


def answer_as_stream(asked: AudioRequest) -> Response:
    """Make the job of this request, and answer with its text as it comes.

    Raises TooManyStreams before the job is made, and as `submit`; what goes wrong afterwards
    is an event.
    """
    hub, connection = current_hub(), current_connection()
    listener = hub.reserve(connection)
    try:
        made = submit(asked)
        is_kept = is_job_kept() or made.is_replayed  # whoever made it may wait for it, too
        stream = TextStream(made.job_id, asked.fields, connection, is_kept=is_kept)
    except BaseException:
        hub.release(listener)
        raise
    response = Response(stream.lines(hub, listener), mimetype=MEDIA_TYPE, headers=HEADERS)
    response.headers[JOB_HEADER] = str(made.job_id)
    response.call_on_close(lambda: hub.release(listener))
    response.call_on_close(stream.close)
    return mark_replayed(response) if made.is_replayed else response


class TextStream:
    """What one client is told of one job. Made within its request, used after it."""

    def __init__(
        self, job_id: UUID, asked: Mapping[str, Any], connection: Connection, *, is_kept: bool
    ) -> None:
        self._job_id = job_id
        self._asked = asked
        self._connection = connection
        self._services: Services = current_services()
        self._tenant = current_tenant()
        self._is_kept = is_kept
        self._app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - the documented way
        self._deltas = Deltas()
        self._is_over = False  # everything was said, or nobody is there

    def lines(self, hub: EventHub, listener: Listener) -> Iterator[bytes]:
        """The lines of the answer, from the first text to the end."""
        yield PING  # the headers go out with the first line, and the job's id is among them
        job = JobStream(self._job_id, JobCursor())
        for event in hub.follow(listener, job):
            yield from self._tell(event)
        if not job.is_over and self._connection.is_gone():
            return  # `close` sees to the job
        try:
            if not job.is_over:
                raise JobTimedOut(  # the server stops, or cannot look any more
                    "the stream ends before its job, which goes on", job_id=str(self._job_id)
                )
            yield from self._tell_end()
        except ScriptoriumError as error:
            yield self._failure(error)
        self._is_over = True

    def close(self) -> None:
        """Leave the job if the client left before the end."""
        if not self._is_over:
            self._is_over = True
            leave_job(self._services, self._job_id, tenant=self._tenant, keep=self._is_kept)

    def _tell(self, event: StreamEvent) -> Iterator[bytes]:
        if event.name in RESETS:
            self._deltas.restart()
        elif event.name == "segments":
            text = "".join(segment["text"] for segment in event.data["segments"])
            if new := self._deltas.add(text):
                yield _data(delta_event(new))
        elif not event.name:
            yield PING

    def _tell_end(self) -> Iterator[bytes]:
        _, transcript = finished_transcript(self._services, self._job_id, tenant=self._tenant)
        if rest := self._deltas.finish(transcript.text):
            yield _data(delta_event(rest))
        yield _data(done_event(transcript, self._asked))
        yield DONE

    def _failure(self, error: ScriptoriumError) -> bytes:
        with self._app.app_context():
            return _data(body_of(problem_of(error)))


def _data(value: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
