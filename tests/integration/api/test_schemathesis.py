"""The API against its own description: no request, however odd, breaks it, is answered otherwise
than the description says, or learns anything of the inside.
"""

import re
from dataclasses import replace

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import openapi
from schemathesis.checks import ignored_auth, positive_data_acceptance

from api.current import EVENTS, EXTENSION
from app import create_app
from audio.ffmpeg import find_ffmpeg
from audio.probe import probe
from config import QUEUE_HIGH, Settings
from models import WorkerProcess
from services.event_hub import EventHub

EXAMPLES = 15  # of each operation
# Of a value that fits its type some are refused by their meaning: a cursor is not any string.
UNASKED = [positive_data_acceptance]
ENDLESS = re.compile(r"/events$")  # streams that do not end have tests of their own

PROTECTING = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
# What only this machine should know: stacks, paths, statements, drivers.
INSIDE = re.compile(
    r"Traceback|\.py\b|/home/|/tmp/|psycopg|sqlalchemy|SELECT |INSERT |site-packages"
)

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
APP = create_app(Settings(_env_file=None), services=object())
OPERATIONS = {
    found.ok().label: found.ok()
    for found in openapi.from_wsgi("/openapi.json", APP).get_all_operations()
    if not ENDLESS.search(found.ok().path)
}


@pytest.fixture
def headers(services):
    """What lets a request in. The services are real, and so is the look at recordings."""
    with services.open_session() as session:
        session.add(WorkerProcess(id="w/1", worker="w", pid=1, queues=QUEUE_HIGH, pool={}))
    real = replace(services, probe=lambda path: probe(path, ffmpeg=find_ffmpeg(""), timeout_s=30))
    APP.extensions |= {EXTENSION: real, EVENTS: EventHub(real)}
    return {"X-API-Key": services.settings.admin_api_key}


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_as_described(label, headers):
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy())
    def ask(case):
        is_open = case.operation.definition.raw.get("security") == []
        unasked = [*UNASKED, ignored_auth] if is_open else UNASKED
        answer = case.call(headers=headers)

        case.validate_response(answer, excluded_checks=unasked, headers=headers)
        assert {name: answer.headers.get(name.lower()) for name in PROTECTING} == {
            name: [value] for name, value in PROTECTING.items()
        }
        assert not INSIDE.search(answer.text)

    ask()
