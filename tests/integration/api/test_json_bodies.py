"""JSON that no reader takes is the client's fault on every route, and never a crash."""

import pytest

from tests.routes import address_of

UNREADABLE = {
    "nested too deeply": b"[" * 100_000 + b"]" * 100_000,
    "objects nested too deeply": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a number without end": b'{"a":' + b"9" * 5_000 + b"}",
    "broken off": b'{"a":',
    "no text": b'{"a":"\xff"}',
}
# What these answer does not depend on a body.
WITHOUT_BODY = {
    "/v1/single-use-token/<string:token_type>",
    "/v1/audio/transcriptions/<string:job_id>/cancel",
    "/webhooks/<string:webhook_id>/test",
    "/webhooks/<string:webhook_id>/resume",
    "/webhooks/deliveries/<string:delivery_id>/retry",
    "/admin/errors/<string:error_id>/expire",
}
# They take a recording as it is, a form, or a piece of an upload.
NO_JSON = {
    "/transcribe/",
    "/uploads",
    "/uploads/<string:upload_id>",
    "/v1/audio/translations",
    "/v2/upload",
}
# A request that waits for its transcript is put off before it is read: no worker is here.
QUERIES = {"/v1/listen": "?callback=https://8.8.8.8/"}


def routes_with_json(app):
    for rule in app.url_map.iter_rules():
        if rule.rule not in WITHOUT_BODY | NO_JSON:
            for method in sorted(rule.methods & {"POST", "PUT", "PATCH"}):
                yield method, rule


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_json_that_cannot_be_read_is_refused_on_every_route(app, admin, body):
    answers = {
        (method, rule.rule): admin.open(
            address_of(rule) + QUERIES.get(rule.rule, ""),
            method=method,
            data=body,
            content_type="application/json",
        )
        for method, rule in routes_with_json(app)
    }

    refused = {route: answer.status_code for route, answer in answers.items()}
    assert {route: status for route, status in refused.items() if status not in (400, 415)} == {}
    assert len([status for status in refused.values() if status == 400]) >= 15


@pytest.mark.parametrize(
    "address", ["/v1/listen?callback=https://8.8.8.8/", "/v2/transcript", "/tokens"]
)
def test_the_refusal_says_that_it_is_the_json(admin, address):
    answer = admin.post(address, data=b"{", content_type="application/json")

    assert answer.status_code == 400
    assert "the body is not valid JSON" in answer.text


def test_a_body_that_does_not_say_it_is_json_is_asked_to(admin):
    answer = admin.post("/v2/transcript", data=b'{"audio_url": "https://example.org/a.mp3"}')

    assert (answer.status_code, answer.json) == (400, {"error": "send application/json"})
