"""Browsers: no page of another origin may read answers, unless the settings name it."""

import pytest

from api.current import EXTENSION
from app import create_app
from config import Settings, problems

HOME = "https://notes.example"
ASKS = {
    "Origin": HOME,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "x-api-key",
}
SUBMISSIONS = (
    "/transcribe/",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/speech-to-text",
    "/v1/listen",
    "/v2/upload",
    "/v2/transcript",
)


@pytest.fixture(scope="module")
def opened_app():
    return create_app(Settings(_env_file=None, cors_origins=HOME), services=object())


@pytest.fixture
def opened(opened_app, services, jobs):
    opened_app.extensions[EXTENSION] = services
    return opened_app.test_client()


def cors_headers(answer):
    return {name for name in answer.headers.keys() if name.startswith("Access-Control")}  # noqa: SIM118 - headers iterate over pairs


@pytest.mark.parametrize("method", ["get", "options"])
def test_by_default_no_page_is_let_in(client, method):
    answer = getattr(client, method)("/health", headers=ASKS)

    assert cors_headers(answer) == set()


def test_a_named_origin_is_let_in_without_credentials(opened):
    answer = opened.get("/health", headers={"Origin": HOME})

    assert answer.headers["Access-Control-Allow-Origin"] == HOME
    assert "Access-Control-Allow-Credentials" not in answer.headers
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"X-Request-ID", "X-Job-ID", "Retry-After", "X-Should-Retry"} <= set(exposed)


@pytest.mark.parametrize("path", SUBMISSIONS)
def test_a_browser_may_ask_before_it_sends_a_key(opened, path):
    answer = opened.options(path, headers=ASKS)

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Headers"] == "x-api-key"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "https://notes.example.evil.example", "http://notes.example", "null"],
)
def test_another_origin_is_not_let_in(opened, origin):
    answer = opened.get("/health", headers={"Origin": origin})

    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("origins", ["*", "https://*.example", "notes.example", "https://a/path"])
def test_an_origin_that_says_too_much_or_too_little_is_a_problem(origins):
    found = problems(Settings(_env_file=None, cors_origins=origins))

    assert any(line.startswith("CORS_ORIGINS") for line in found)
