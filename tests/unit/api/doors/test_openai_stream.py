"""The text of a job as it is decoded, in OpenAI's events."""

import json
from io import BytesIO
from types import SimpleNamespace

import pytest

import api.doors.openai.audio
import api.doors.openai.streaming
import api.doors.openai.submitting
from api.current import EVENTS
from api.doors.openai.deltas import Deltas
from domain.errors import AudioUnreadable, DatabaseUnavailable, JobFailed
from services.stream_event import StreamEvent
from tests.unit.api.fake_jobs import make_transcript

PING = StreamEvent(id="1.0", comment="ping")
RESTARTED = StreamEvent("restarted", {"model_used": "tiny"})


def segments(*texts):
    return StreamEvent("segments", {"segments": [{"text": text} for text in texts]})


class ScriptedHub:
    """Tells what a test says, and then that the job is over, or that the stream is."""

    def __init__(self):
        self.events = []
        self.is_job_over = True
        self.released = 0

    def reserve(self, _connection):
        return self

    def release(self, _listener):
        self.released += 1

    def follow(self, _listener, stream):
        yield from self.events
        stream.is_over = self.is_job_over


@pytest.fixture
def connection(monkeypatch):
    made = SimpleNamespace(is_gone=lambda: False)
    monkeypatch.setattr(api.doors.openai.streaming, "current_connection", lambda: made)
    return made


@pytest.fixture
def script(app, outcome, connection, monkeypatch):
    hub = ScriptedHub()
    app.extensions[EVENTS] = hub
    for name in ("finished_transcript", "leave_job"):
        monkeypatch.setattr(api.doors.openai.streaming, name, getattr(outcome, name))
    monkeypatch.setattr(api.doors.openai.submitting, "submit_once", outcome.submit_once)
    monkeypatch.setattr(api.doors.openai.audio, "require_capacity", lambda services: None)
    return hub


def post(client, **fields):
    data = {"model": "tiny", "stream": "true", "file": (BytesIO(b"RIFF"), "a.wav"), **fields}
    return client.post("/v1/audio/transcriptions", data=data, content_type="multipart/form-data")


def data_of(answer):
    """The data of the events, parsed but for the last word."""
    lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    bodies = [line.removeprefix("data: ") for line in lines]
    return [body if body == "[DONE]" else json.loads(body) for body in bodies]


def test_text_comes_as_it_is_decoded_and_whole_at_the_end(client, script, outcome):
    outcome.transcript = make_transcript(" Hello there. General Kenobi.")
    script.events = [PING, segments(" Hello", " there."), segments(" General Kenobi.")]

    answer = post(client)

    *deltas, done, last = data_of(answer)
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["X-Job-ID"] == str(outcome.job_id)
    assert [event["delta"] for event in deltas] == ["Hello there.", " General Kenobi."]
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert (done["type"], done["text"]) == ("transcript.text.done", "Hello there. General Kenobi.")
    assert done["usage"]["type"] == "tokens"
    assert last == "[DONE]"
    assert "\n: ping\n\n" in f"\n{answer.text}"


def test_what_no_window_told_is_told_before_the_end(client, script, outcome):
    outcome.transcript = make_transcript(" Hello there. And more.")
    script.events = [segments(" Hello there.")]

    *deltas, _done, _last = data_of(post(client))

    assert [event["delta"] for event in deltas] == ["Hello there.", " And more."]


def test_a_finished_stream_leaves_its_job_alone_and_gives_its_place_back(client, script, outcome):
    answer = post(client)
    answer.get_data()
    answer.close()

    assert outcome.left == []
    assert script.released == 1


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (JobFailed("broken", failure="audio_unreadable"), "invalid_request_error", None),
        (JobFailed("it was lost", failure="worker_lost"), "server_error", None),
        (JobFailed("of no concern", failure="engine_error"), "server_error", "internal_error"),
        (DatabaseUnavailable("away"), "server_error", None),
    ],
)
def test_a_failure_on_the_way_is_an_error_event_and_the_end(
    client, script, outcome, error, kind, code
):
    outcome.error = error
    script.events = [segments(" Hello")]

    answer = post(client)

    delta, failure = data_of(answer)
    assert answer.status_code == 200
    assert delta["delta"] == "Hello"
    assert failure["error"]["type"] == kind
    assert failure["error"]["code"] == (code or error.code)
    assert "of no concern" not in failure["error"]["message"]
    assert outcome.left == []


def test_a_client_that_leaves_takes_its_job_with_it(client, script, outcome, connection):
    script.is_job_over = False
    connection.is_gone = lambda: True

    answer = post(client)
    said = data_of(answer)
    answer.close()

    assert said == []
    assert outcome.left == [(outcome.job_id, False)]
    assert script.released == 1


def test_a_client_that_is_gone_in_the_middle_of_a_word_takes_its_job_with_it(
    app, script, outcome, jobs
):
    script.events = [segments(" Hello"), segments(" there.")]

    answer = app.test_client().post(
        "/v1/audio/transcriptions",
        data={"model": "tiny", "stream": "true", "file": (BytesIO(b"RIFF"), "a.wav")},
        headers={"X-Keep-Job": "true"},
        content_type="multipart/form-data",
        buffered=False,
    )
    lines = answer.iter_encoded()
    said = [next(lines), next(lines)]
    answer.close()

    assert said[0] == b": ping\n\n"  # at once, so that the client has the headers
    assert b"Hello" in said[1]
    assert outcome.left == [(outcome.job_id, True)]
    assert script.released == 1


def test_a_job_that_was_there_before_outlives_the_client_that_repeats(
    client, script, outcome, connection
):
    outcome.is_replayed = True
    script.is_job_over = False
    connection.is_gone = lambda: True

    answer = post(client)
    answer.get_data()
    answer.close()

    assert answer.headers["Idempotency-Replayed"] == "true"
    assert outcome.left == [(outcome.job_id, True)]


def test_a_server_that_stops_says_so_and_lets_the_job_go_on(client, script, outcome):
    script.is_job_over = False

    answer = post(client)
    (failure,) = data_of(answer)
    answer.close()

    assert failure["error"]["code"] == "job_timed_out"
    assert outcome.left == []


def test_a_recording_that_is_none_is_refused_before_the_stream_begins(
    client, script, outcome, services, monkeypatch
):
    def refuse(*_args):
        raise AudioUnreadable("noise")

    monkeypatch.setattr(api.doors.openai.submitting, "submit_once", refuse)

    answer = post(client)

    assert (answer.status_code, answer.json["error"]["code"]) == (400, "audio_unreadable")
    assert script.released == 1


def test_whisper_1_is_answered_at_once_as_documented(
    client, script, outcome, monkeypatch, app, hub
):
    app.extensions[EVENTS] = hub

    answer = post(client, model="whisper-1")

    assert answer.json["text"] == "Hello there."


def test_a_text_that_is_decoded_anew_is_told_from_where_it_had_come_to():
    deltas = Deltas()

    said = [deltas.add(" One"), deltas.add(" two")]
    deltas.restart()
    said += [deltas.add(" One"), deltas.add(" two three"), deltas.finish("One two three four")]

    assert said == ["One", " two", "", " three", " four"]
    assert "".join(said) == "One two three four"


def test_blanks_before_the_first_word_are_not_told():
    deltas = Deltas()

    assert [deltas.add(" "), deltas.add(" One"), deltas.finish("One")] == ["", "One", ""]
