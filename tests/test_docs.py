"""The documentation is under test: what is not written down fails the build."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import Settings
from domain.errors import ScriptoriumError
from tests.setting_names import SETTING_NAMES
from tests.source_tree import ROOT

DOCS = ROOT / "docs"
MAX_README_LINES = 120
PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")  # <uuid:job_id>
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def error_codes(error: type[ScriptoriumError] = ScriptoriumError) -> Iterator[str]:
    """The codes of an error and of all below it."""
    yield error.code
    for below in error.__subclasses__():
        yield from error_codes(below)


def make_app():
    """The application, with services that nobody asks for anything."""
    from app import create_app  # late: the other tests need no web framework

    return create_app(Settings(_env_file=None), services=object())


def routes() -> set[str]:
    """Every route of the application, as `METHOD /path/{name}`."""
    return {
        method + " " + PARAMETER.sub(r"{\1}", rule.rule)
        for rule in make_app().url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_every_setting_is_documented():
    text = (DOCS / "configuration.md").read_text()

    missing = [name for name in sorted(SETTING_NAMES) if f"`{name}`" not in text]

    assert missing == []


def test_no_setting_is_documented_that_does_not_exist():
    text = (DOCS / "configuration.md").read_text()

    unknown = set(re.findall(r"^\| `([A-Z][A-Z0-9_]+)`", text, re.MULTILINE)) - SETTING_NAMES

    assert unknown == set()


def test_every_route_is_documented():
    text = (DOCS / "api.md").read_text()

    missing = sorted(route for route in routes() if f"`{route}`" not in text)

    assert missing == []


@pytest.mark.parametrize("page", ["api.md", "guide.md", "webhooks.md", "compatibility.md"])
def test_no_route_is_documented_that_does_not_exist(page):
    text = (DOCS / page).read_text()

    known = routes()
    unknown = (
        set(re.findall(r"^\| \[?`((?:GET|POST|PUT|PATCH|DELETE) [^`]+)`", text, re.MULTILINE))
        - known
    )

    assert unknown == set()


def test_the_reference_is_as_the_api_describes_itself():
    from scripts.api_reference import PAGE, render  # late, as above

    assert PAGE.read_text() == render(make_app())


def test_every_code_of_the_reference_has_a_meaning():
    text = (DOCS / "api.md").read_text()

    assert re.findall(r"^\| `[a-z_]+` \| \d{3} \|\s*\|", text, re.MULTILINE) == []


def test_every_error_code_is_documented():
    text = (DOCS / "api.md").read_text()

    missing = [code for code in error_codes() if f"`{code}`" not in text]

    assert missing == []


def test_every_code_of_the_api_is_documented_with_its_status():
    from api.errors import STATUS_OF_CODE  # late, as above

    text = (DOCS / "api.md").read_text()
    documented = dict(re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", text, re.MULTILINE))

    missing = [code for code in STATUS_OF_CODE if f"`{code}`" not in text]
    wrong = {c: s for c, s in documented.items() if STATUS_OF_CODE.get(c) != int(s)}

    assert (missing, wrong) == ([], {})


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()

    assert len(lines) <= MAX_README_LINES


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.name
)
def test_no_link_leads_nowhere(page: Path):
    broken = [
        target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()
    ]

    assert broken == []
