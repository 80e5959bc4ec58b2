"""/transcribe/{id}/events and /history, /jobs/events: what happens, as it happens."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from flask import Response, request, url_for
from flask.views import MethodView

from api.blueprint import Blueprint
from api.client_id import CLIENT_PARAMETER, current_client
from api.current import current_hub, current_services, current_tenant
from api.schemas.base import NoQuerySchema
from api.schemas.events import HistoryEntrySchema, StreamQuerySchema
from api.sse import HEADERS, MEDIA_TYPE, current_connection, last_event_id, stream_response
from api.transcriptions import parse_job_id
from domain.errors import DatabaseUnavailable
from services.client_stream import ClientStream, catch_up, open_client_stream
from services.context import Services
from services.event_hub import EventHub, Listener
from services.histories import HistoryEntry, job_history
from services.job_stream import JobCursor, JobStream, open_job_stream
from services.stream_event import StreamEvent

blp = Blueprint("events", __name__, description="What happens, as it happens")

TEXT = {"type": "string"}
LAST_ID_PARAMETER = {
    "in": "header",
    "name": "Last-Event-ID",
    "schema": TEXT,
    "description": "Go on after the event of this id. Browsers send it by themselves.",
}

Stream = JobStream | ClientStream


@blp.route("/transcribe/<string:job_id>/events", parameters=[LAST_ID_PARAMETER])
class JobEvents(MethodView):
    """One job, live."""

    @blp.arguments(StreamQuerySchema, location="query")
    @blp.response(200, TEXT, content_type=MEDIA_TYPE, description="Server-sent events")
    @blp.alt_response(204, description="The job is finished and everything was told", success=True)
    @blp.fails("job_not_found", "option_invalid", "too_many_streams", "database_unavailable")
    def get(self, query: dict[str, Any], job_id: str) -> Response:
        """Follow a job: its place in the queue, progress, segments as they are decoded, the end.

        Begins with all that happened so far, or after `Last-Event-ID`. Ends after `completed`,
        `dead_lettered` or `cancelled`.
        """
        services, hub, key = current_services(), current_hub(), parse_job_id(job_id)
        cursor = JobCursor.parse(last_event_id(query.get("last_event_id")))
        result_url = url_for("results.Result", job_id=key)
        tenant = current_tenant()

        def begin(listener: Listener) -> Response:
            stream, events = open_job_stream(services, hub.positions, key, cursor, tenant=tenant)
            if stream.is_over and not events:
                # A browser that gets this does not come back.
                hub.release(listener)
                return Response(status=204)
            return _answer(hub, listener, _job_events(hub, listener, stream, events, result_url))

        return _with_listener(hub, begin)


@blp.route("/transcribe/<string:job_id>/history")
class History(MethodView):
    """One job's past."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, HistoryEntrySchema(many=True))
    @blp.fails("job_not_found", "option_invalid", "database_unavailable")
    def get(self, _query: dict[str, Any], job_id: str) -> list[HistoryEntry]:
        """List everything that happened to a job, oldest first, with actor and attempt."""
        return job_history(current_services(), parse_job_id(job_id), tenant=current_tenant())


@blp.route("/jobs/events", parameters=[LAST_ID_PARAMETER, CLIENT_PARAMETER])
class ClientEvents(MethodView):
    """All jobs of a client, live."""

    @blp.arguments(StreamQuerySchema, location="query")
    @blp.response(200, TEXT, content_type=MEDIA_TYPE, description="Server-sent events")
    @blp.fails("option_invalid", "too_many_streams", "database_unavailable")
    def get(self, query: dict[str, Any]) -> Response:
        """Follow the transitions of all jobs of the client, from now on or after an id."""
        services, hub, client = current_services(), current_hub(), current_client()
        tenant = current_tenant()
        last_id = last_event_id(query.get("last_event_id"))

        def begin(listener: Listener) -> Response:
            stream = open_client_stream(services, client, last_id, tenant=tenant)
            return _answer(hub, listener, _client_events(services, hub, listener, stream))

        return _with_listener(hub, begin)


def _with_listener(hub: EventHub, begin: Callable[[Listener], Response]) -> Response:
    """The answer of a stream that has a place, which is given back if it does not begin."""
    listener = hub.reserve(current_connection())
    try:
        return begin(listener)
    except BaseException:
        hub.release(listener)
        raise


def _answer(hub: EventHub, listener: Listener, events: Iterator[StreamEvent]) -> Response:
    if request.method == "HEAD":  # nobody would run it to its end
        hub.release(listener)
        return Response(mimetype=MEDIA_TYPE, headers=HEADERS)
    return stream_response(events, on_close=lambda: hub.release(listener))


def _job_events(
    hub: EventHub,
    listener: Listener,
    stream: JobStream,
    events: list[StreamEvent],
    result_url: str,
) -> Iterator[StreamEvent]:
    """What there is to say at once, then what follows. Runs after the request has ended."""
    for event in events:
        yield _linked(event, result_url)
    events.clear()  # they may be a whole result
    for event in hub.follow(listener, stream):
        yield _linked(event, result_url)


def _client_events(
    services: Services, hub: EventHub, listener: Listener, stream: ClientStream
) -> Iterator[StreamEvent]:
    """What happened since the reader left, then what follows."""
    yield StreamEvent(id=stream.mark)
    with suppress(DatabaseUnavailable):  # the hub goes on when it is back
        is_up_to_date = False
        while not is_up_to_date:
            events, is_up_to_date = catch_up(services, stream)
            yield from events
    yield from hub.follow(listener, stream)


def _linked(event: StreamEvent, result_url: str) -> StreamEvent:
    if event.name != "completed":
        return event
    return replace(event, data={**event.data, "result": result_url})
