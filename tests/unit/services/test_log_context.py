import json
import logging

from services.log_context import JsonFormatter, TextFormatter, request_context


def record(message="job_started", **extra):
    made = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "test"})
    vars(made).update(extra)
    return made


def test_an_event_is_one_line_with_its_fields_and_its_request():
    with request_context("r-1"):
        line = TextFormatter().format(record(job_id="j", attempt=1, reason="no room"))

    assert line.endswith('INFO    job_started job_id=j attempt=1 reason="no room" request_id=r-1')


def test_a_client_cannot_forge_a_second_line():
    line = TextFormatter().format(record("upload\nERROR forged", filename="a\r\nERROR forged"))

    assert len(line.splitlines()) == 1


def test_json_lines_carry_the_same_fields():
    with request_context("r-1"):
        event = json.loads(JsonFormatter().format(record(job_id="j")))

    assert (event["event"], event["job_id"], event["request_id"]) == ("job_started", "j", "r-1")


def test_the_stack_is_kept():
    error = ValueError("the cause")
    failed = record(exc_info=(type(error), error, None))

    assert "the cause" in TextFormatter().format(failed)
    assert "the cause" in json.loads(JsonFormatter().format(failed))["stack"]


def test_a_request_id_ends_with_its_block():
    with request_context("r-1"):
        pass

    assert "request_id" not in TextFormatter().format(record())
