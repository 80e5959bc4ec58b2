"""Small files, small functions, names that say what is inside."""

import ast
from collections.abc import Iterator

import pytest

from tests.source_tree import ROOT, python_files

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
REFUSED_FILES = {"utils", "helpers", "common", "manager"}
# A folder of this name would hide the module that the standard library or a dependency has.
REFUSED_FOLDERS = {
    *("queue", "types", "json", "email", "logging"),
    *("whisper", "celery", "redis", "alembic"),
}


def long_functions(source: str) -> Iterator[str]:
    """Name and length of each function beyond the ceiling, its decorators not counted."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.name}: {lines} lines"


def test_no_file_is_longer_than_the_ceiling():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in python_files()
        if (lines := len(path.read_text().splitlines())) > MAX_FILE_LINES
    }

    assert long == {}


def test_no_function_is_longer_than_the_ceiling():
    long = [
        f"{path.relative_to(ROOT)}: {offender}"
        for path in python_files()
        if path.parent.name != "versions"  # a migration is one list of statements
        for offender in long_functions(path.read_text())
    ]

    assert long == []


def test_no_file_or_folder_has_a_refused_name():
    refused = [
        str(path.relative_to(ROOT))
        for path in python_files()
        if path.stem in REFUSED_FILES or path.relative_to(ROOT).parts[0] in REFUSED_FOLDERS
    ]

    assert refused == []


@pytest.mark.parametrize(("lines", "expected"), [(60, []), (61, ["f: 61 lines"])])
def test_the_ceiling_of_a_function_counts_its_first_line(lines: int, expected: list[str]):
    source = "@decorated\ndef f():\n" + "    x = 1\n" * (lines - 1)

    assert [*long_functions(source)] == expected
