"""The published specification: complete, consistent, and true to the routes."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from api.errors import STATUS_OF_CODE
from app import create_app
from config import load_settings
from domain.options import MODEL_SIZES, TranscriptionOptions
from domain.transcript import Coverage, Fallback, Gap, Segment, Suspicion, Warning_, Word
from formats.registry import FORMATS, render
from services.dead_letter_views import ErrorFilter, ErrorPage, ErrorView
from services.job_lists import JobFilter, JobPage
from services.storage_report import AuditView, FindingView, StorageReport
from services.views import JobView
from tests.unit.formats.transcripts import make_transcript

METHODS = ("get", "post", "put", "patch", "delete")
PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
WITHOUT_BODY = {("POST /uploads", "201")}  # tus answers in headers alone
# What a submission may say beside the recording.
OPTIONS = {
    *TranscriptionOptions.__dataclass_fields__,
    "priority",
    "reuse_result",
    "webhook_url",
    "webhook_events",
}
DOORS = ("OpenAI", "ElevenLabs", "Deepgram", "AssemblyAI", "Dalston")
NOT_DOCUMENTED = {"/docs", "/docs/start.js", "/docs/assets/{name}", "/openapi.json"}


@pytest.fixture(scope="module")
def app():
    settings = load_settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        admin_api_key="0123456789abcdef",
    )
    return create_app(settings)


@pytest.fixture(scope="module")
def spec(app):
    return app.test_client().get("/openapi.json").json


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def native_operations(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Those of our own; doors answer as the APIs do that they stand for."""
    for name, operation in operations(spec):
        if not name.partition(" ")[2].startswith(("/v1/", "/v2/")):
            yield name, operation


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def resolve(spec: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        root, *parts = node["$ref"].split("/")
        assert root == "#"
        node = spec
        for part in parts:
            node = node[part]
    return node


def parameters(spec: dict[str, Any], path: str, method: str) -> dict[str, dict[str, Any]]:
    item = spec["paths"][path]
    listed = [*item.get("parameters", []), *item[method].get("parameters", [])]
    return {found["name"]: found for found in (resolve(spec, entry) for entry in listed)}


def test_it_is_openapi_3_0_which_the_bundled_page_can_draw(spec):
    assert spec["openapi"] == "3.0.3"
    assert spec["info"]["title"] == "Scriptorium"


def test_every_route_is_in_it_and_nothing_else(app, spec):
    routes = {
        method + " " + PARAMETER.sub(r"{\1}", rule.rule)
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }

    documented = {name for name, _ in operations(spec)}

    assert documented == {r for r in routes if r.partition(" ")[2] not in NOT_DOCUMENTED}


def test_every_reference_leads_somewhere(spec):
    for node in walk(spec):
        if "$ref" in node:
            assert resolve(spec, node)


def test_every_operation_has_a_name_and_an_answer_with_a_schema(spec):
    for name, operation in operations(spec):
        assert operation["summary"], name
        answers = {s: f for s, f in operation["responses"].items() if s.startswith("2")}
        assert answers, name
        good = [
            resolve(spec, found)
            for status, found in answers.items()
            if status != "204" and (name, status) not in WITHOUT_BODY
        ]
        for found in good:
            assert all("schema" in media for media in found["content"].values()), name


def test_every_failure_has_the_one_shape(spec):
    error = {"$ref": "#/components/schemas/Error"}
    for name, operation in native_operations(spec):
        bad = {s: f for s, f in operation["responses"].items() if not s.startswith("2")}
        assert "default" in bad, name
        for found in bad.values():
            content = resolve(spec, found)["content"]
            assert content == {"application/json": {"schema": error}}, name

    assert set(spec["components"]["schemas"]["Error"]["properties"]) == {
        "code",
        "message",
        "details",
        "request_id",
    }


def test_every_failure_of_a_door_has_the_shape_of_its_api(spec):
    native = {name for name, _ in native_operations(spec)}
    shapes = {
        json.dumps(resolve(spec, found)["content"])
        for name, operation in operations(spec)
        if name not in native
        for status, found in operation["responses"].items()
        if not status.startswith("2")
    }

    assert len(shapes) == len(DOORS)
    assert not any("schemas/Error" in shape for shape in shapes)


@pytest.mark.parametrize(
    ("name", "schema"), [("json", "Transcript"), ("verbose_json", "VerboseTranscript")]
)
def test_transcripts_have_the_fields_that_are_documented(spec, name, schema):
    word = Word(" Hello.", 0.0, 1.0, 0.9)
    segment = Segment(id=0, seek=0, start=0.0, end=1.0, text=" Hello.", words=(word,))
    suspicion = Suspicion("hallucination", "no_speech_found", 0.0, 1.0, (0,))
    transcript = make_transcript(
        segment,
        coverage=Coverage(5.0, 1.0, 0.2, (Gap(1.0, 5.0),), (suspicion,)),
        fallbacks=(Fallback("cpu", "load", "base", "base", "no room"),),
        warnings=(Warning_("suspected_hallucination", "some text"),),
    )

    body = json.loads(render(transcript, name))

    check_fields(spec, {"$ref": f"#/components/schemas/{schema}"}, body)


def check_fields(spec, schema, value):
    """What is there is documented, and what is documented as required is there."""
    schema = resolve(spec, schema)
    if "anyOf" in schema:
        schema = resolve(spec, schema["anyOf"][0])
    if isinstance(value, list):
        for item in value:
            check_fields(spec, schema["items"], item)
    elif "properties" in schema:
        assert set(schema["required"]) <= set(value) <= set(schema["properties"])
        for name, item in value.items():
            if item is not None:
                check_fields(spec, schema["properties"][name], item)


def test_failures_are_documented_under_the_status_of_their_code(spec):
    for name, operation in native_operations(spec):
        for status, found in operation["responses"].items():
            for code in re.findall(r"`(\w+)`", resolve(spec, found)["description"]):
                assert str(STATUS_OF_CODE[code]) == status, (name, code)


def test_what_takes_arguments_documents_their_refusal(spec):
    for name, operation in operations(spec):
        takes = [p for p in operation.get("parameters", []) if resolve(spec, p)["in"] == "query"]
        if takes or "requestBody" in operation:
            said = [found["description"] for _, found in answers(spec, operation)]
            assert any("option_invalid" in text for text in said), name


def test_path_parameters_are_documented(spec):
    for path in spec["paths"]:
        for method in METHODS:
            if method in spec["paths"][path]:
                named = parameters(spec, path, method)
                for name in re.findall(r"{(\w+)}", path):
                    assert named[name]["in"] == "path"
                    assert named[name]["required"] is True


def test_the_form_has_the_file_and_every_option(spec):
    body = spec["paths"]["/transcribe/"]["post"]["requestBody"]

    (media_type,) = body["content"]
    form = resolve(spec, body["content"][media_type]["schema"])
    assert media_type == "multipart/form-data"
    assert "required" not in form  # a file, or the address of one
    assert form["properties"]["file"] == {
        "type": "string",
        "format": "binary",
        "description": "The recording; or `source_url`",
    }
    assert set(form["properties"]) == OPTIONS | {"file", "source_url"}
    assert form["properties"]["model_size"]["enum"] == list(MODEL_SIZES)


def test_options_are_query_parameters_too(spec):
    headers = {"X-Client-ID", "Idempotency-Key"}

    post = parameters(spec, "/transcribe/", "post")
    put = parameters(spec, "/transcribe/", "put")

    assert set(post) == OPTIONS | headers
    assert set(put) == OPTIONS | headers | {"filename"}
    assert {name for name in put if put[name]["in"] == "header"} == headers


def test_a_raw_body_is_documented_as_bytes(spec):
    content = spec["paths"]["/transcribe/"]["put"]["requestBody"]["content"]

    assert "application/octet-stream" in content
    for media in content.values():
        assert media["schema"] == {"type": "string", "format": "binary"}


def test_submitting_documents_where_the_job_is(spec):
    for method in ("post", "put"):
        accepted = spec["paths"]["/transcribe/"][method]["responses"]["202"]
        assert "Location" in accepted["headers"]


def test_a_transcript_is_documented_in_every_media_type(spec):
    operation = spec["paths"]["/transcribe/{job_id}/result"]["get"]

    documented = set(operation["responses"]["200"]["content"])

    assert documented == {chosen.media_type for chosen in FORMATS.values()}
    (format_,) = [p for p in operation["parameters"] if p["name"] == "format"]
    assert format_["schema"]["enum"] == list(FORMATS)


def test_lists_are_paged_by_25_and_at_most_100(spec):
    for path in ("/jobs/", "/admin/errors"):
        limit = parameters(spec, path, "get")["limit"]["schema"]
        assert (limit["default"], limit["minimum"], limit["maximum"]) == (25, 1, 100)


NOT_SHOWN = {"tenant", "door_fields"}  # a caller knows who he is; doors keep notes of their own
NOT_ASKED = {"tenant"}  # it follows from the key


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("Job", JobView),
        ("JobList", JobPage),
        ("DeadLetter", ErrorView),
        ("ErrorList", ErrorPage),
        ("Storage", StorageReport),
        ("Finding", FindingView),
        ("Audit", AuditView),
    ],
)
def test_schemas_name_exactly_what_the_services_give(spec, schema, value):
    documented = set(spec["components"]["schemas"][schema]["properties"])

    assert documented == {*value.__dataclass_fields__} - NOT_SHOWN


@pytest.mark.parametrize(
    ("path", "filters"), [("/jobs/", JobFilter), ("/admin/errors", ErrorFilter)]
)
def test_the_filters_of_a_list_are_those_of_the_service(spec, path, filters):
    documented = set(parameters(spec, path, "get"))

    assert documented == {*filters.__dataclass_fields__, "cursor", "limit"} - NOT_ASKED


def test_a_retry_can_change_every_option(spec):
    retry = spec["components"]["schemas"]["RetryOptions"]["properties"]

    assert set(retry) == set(TranscriptionOptions.__dataclass_fields__)


OPEN = {"GET /health", "GET /health/ready"}


def test_every_operation_says_that_it_wants_a_key_and_how_it_refuses(spec):
    wants_none = {name for name, operation in operations(spec) if operation["security"] == []}

    assert wants_none == OPEN
    for name, operation in operations(spec):
        if name not in OPEN:
            said = {s: found["description"] for s, found in answers(spec, operation)}
            assert "`api_key_invalid`" in said["401"], name
            assert "`scope_missing`" in said["403"], name
            assert "`database_unavailable`" in said["503"], name


def answers(spec: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for status, found in operation["responses"].items():
        yield status, resolve(spec, found)


def test_every_place_for_a_key_is_described(spec):
    schemes = spec["components"]["securitySchemes"]
    places = {(s.get("in"), s.get("name") or s["scheme"]) for s in schemes.values()}

    assert places == {
        ("header", "X-API-Key"),
        ("header", "xi-api-key"),
        ("header", "Authorization"),
        (None, "bearer"),
        ("query", "token"),
    }
    for _, operation in operations(spec):
        assert operation["security"] in ([], [{name: []} for name in schemes])
