"""Write docs/api.md out of the API's own description: `python -m scripts.api_reference`.

With `--check` nothing is written, and the exit code is 1 when the page is not as it would be.
"""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from api.errors import STATUS_OF_CODE
from app import create_app
from config import Settings
from domain.errors import ScriptoriumError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api.md"
INTRODUCTION = """# API

Every route, parameter and error code, as `/openapi.json` describes them on a running server;
`/docs` draws the same for reading and trying. How the API is used, with examples:
[guide.md](guide.md). This page is written by `make docs`.
"""
METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
# Codes that no class of ours raises: what the web framework and its server refuse by themselves.
MEANINGS = {
    "request_invalid": "The request cannot be read: a malformed body, form or header, or two keys",
    "route_not_found": "No such address",
    "method_not_allowed": "The address exists, the method does not",
    "format_not_acceptable": "`Accept` allows none of the formats",
    "length_required": "Neither `Content-Length` nor chunked",
    "media_type_unsupported": "Another `Content-Type` is wanted here, or no `Content-Encoding`",
    "range_not_satisfiable": "The recording has no such bytes",
    "validation_error": "A field is missing or not of its kind; `details` names each",
    "address_too_long": "The address, with its query, is longer than 8 kB",
    "headers_too_large": "More than 64 headers, or one that is longer than 8 kB",
    "expectation_unsupported": "`Expect` asks for something else than `100-continue`",
    "transfer_coding_unsupported": "`Transfer-Encoding` is something else than `chunked`",
    "internal_error": "Something broke here; the log has it under the request id",
    "not_ready": "The server lacks something that it needs; `details.checks` says what",
}

Spec = Mapping[str, Any]


def main(arguments: list[str]) -> int:
    """Write the page, or check it. Returns the exit code."""
    nobody: Any = object()  # the description asks nothing of the services
    page = render(create_app(Settings(), services=nobody))
    if "--check" in arguments:
        if PAGE.read_text() == page:
            return 0
        print("docs/api.md is not up to date: make docs", file=sys.stderr)
        return 1
    PAGE.write_text(page)
    print(f"wrote {PAGE.name}: {len(page.splitlines())} lines")
    return 0


def render(app: Flask) -> str:
    """The whole page."""
    spec: Spec = app.test_client().get("/openapi.json").get_json()
    parts = [
        INTRODUCTION,
        *_overview(spec, app),
        *_operations(spec),
        *_schemas(spec),
        *_codes(),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _overview(spec: Spec, app: Flask) -> Iterator[str]:
    """Every route on a line, by what it belongs to."""
    yield "## Routes\n"
    yield "| Route | What |"
    yield "|---|---|"
    told = set()
    for path, method, operation in _all(spec):
        route = f"{method.upper()} {path}"
        told.add(route)
        yield f"| [`{route}`](#{_anchor(route)}) | {_line(operation.get('summary', ''))} |"
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            route = " ".join((method, PARAMETER.sub(r"{\1}", rule.rule)))
            if route not in told:
                said = inspect.getdoc(app.view_functions[rule.endpoint]) or ""
                yield f"| `{route}` | {_line(said.splitlines()[0] if said else '')} |"
    yield ""


def _operations(spec: Spec) -> Iterator[str]:
    group = None
    about = {tag["name"]: tag.get("description", "") for tag in spec.get("tags", ())}
    for path, method, operation in _all(spec):
        tag = operation["tags"][0]
        if tag != group:
            group = tag
            yield f"## {tag.replace('_', ' ').replace('-', ' ').capitalize()}\n"
            yield f"{about.get(tag, '')}.\n" if about.get(tag) else ""
        yield from _operation(spec, path, method, operation)


def _operation(spec: Spec, path: str, method: str, operation: Spec) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`\n"
    yield f"{operation.get('summary', '')}\n"
    if operation.get("description"):
        yield f"{operation['description']}\n"
    shared = spec["paths"][path].get("parameters", [])
    parameters = [_resolved(spec, item) for item in [*shared, *operation.get("parameters", [])]]
    if parameters:
        yield "| Parameter | In | Type | Meaning |"
        yield "|---|---|---|---|"
        for item in parameters:
            name = f"**`{item['name']}`**" if item.get("required") else f"`{item['name']}`"
            meaning = _line(item.get("description", ""))
            yield f"| {name} | {item['in']} | {_type(item.get('schema', {}))} | {meaning} |"
        yield ""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body `{media_type}`: {_type(content.get('schema', {}))}\n"
    yield "| Answer | What | Body |"
    yield "|---|---|---|"
    answers = {str(status): answer for status, answer in operation["responses"].items()}
    answers.pop("default", None)  # of the library; every failure has the same shape anyway
    for status, answer in sorted(answers.items()):
        found = _resolved(spec, answer)
        bodies = {
            f"`{media}`: {_type(content.get('schema', {}))}"
            for media, content in found.get("content", {}).items()
        }
        yield f"| {status} | {_line(found.get('description', ''))} | {', '.join(sorted(bodies))} |"
    yield ""


def _schemas(spec: Spec) -> Iterator[str]:
    yield "## Bodies\n"
    for name, schema in sorted(spec["components"]["schemas"].items()):
        yield f"### {name}\n"
        if schema.get("description"):
            yield f"{schema['description']}\n"
        required = set(schema.get("required", ()))
        if schema.get("properties"):
            yield "| Field | Type | Meaning |"
            yield "|---|---|---|"
        for field, value in schema.get("properties", {}).items():
            shown = f"**`{field}`**" if field in required else f"`{field}`"
            yield f"| {shown} | {_type(value)} | {_line(value.get('description', ''))} |"
        yield ""


def _codes() -> Iterator[str]:
    """The table of codes: what clients may match on."""
    yield "## Error codes\n"
    yield "Fields in bold are required. A code stays what it is; a message may change.\n"
    yield "| Code | Status | Meaning |"
    yield "|---|---|---|"
    meanings = dict(MEANINGS)
    for error in _errors():  # the class that a code belongs to comes before those below it
        meanings.setdefault(error.code, (inspect.getdoc(error) or "").split("\n\n")[0])
    for code, status in sorted(STATUS_OF_CODE.items(), key=lambda item: (item[1], item[0])):
        yield f"| `{code}` | {status} | {_line(meanings.get(code, ''))} |"
    yield ""


def _errors(error: type[ScriptoriumError] = ScriptoriumError) -> Iterator[type[ScriptoriumError]]:
    yield error
    for below in error.__subclasses__():
        yield from _errors(below)


def _all(spec: Spec) -> list[tuple[str, str, Spec]]:
    """Every operation, in the order of the tags, as path, method and what is said of it."""
    order = [tag["name"] for tag in spec.get("tags", ())]
    found = [
        (path, method, item[method])
        for path, item in spec["paths"].items()
        for method in METHODS
        if method in item
    ]
    return sorted(found, key=lambda each: order.index(each[2]["tags"][0]))


def _resolved(spec: Spec, item: Spec) -> Spec:
    if "$ref" not in item:
        return item
    found: Spec = spec
    for name in item["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def _type(schema: Spec) -> str:
    """A type in a few words, with links to bodies."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for word in ("oneOf", "anyOf", "allOf"):
        if word in schema:
            return " or ".join(_type(each) for each in schema[word])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"] if value is not None)
    return " ".join([str(schema.get("format") or schema.get("type") or "any"), *_bounds(schema)])


def _bounds(schema: Spec) -> Iterator[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        yield f"{low:g} to {high:g}"
    elif low is not None:
        yield f"from {low:g}"
    if schema.get("maxLength"):
        yield f"of at most {schema['maxLength']} characters"
    if schema.get("nullable"):
        yield "or null"


def _line(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _anchor(heading: str) -> str:
    """The fragment under which the usual renderers put a heading."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
