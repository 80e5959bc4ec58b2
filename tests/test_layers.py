"""Imports point down, and third parties stay in their rooms: see docs/architecture.md."""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.source_tree import ROOT, python_files

LAYERS = {
    **dict.fromkeys(["app", "worker"], 6),
    **dict.fromkeys(["api", "console", "tasks", "realtime"], 5),
    "services": 4,
    **dict.fromkeys(["database", "model_pool", "hosting"], 3),
    **dict.fromkeys(
        ["models", "audio", "engines", "formats", "storage", "outgoing", "celery_app"], 2
    ),
    **dict.fromkeys(["config", "tables"], 1),
    "domain": 0,
}
BESIDE = {  # neither above nor below: what each may import of ours
    "client": {"domain"},
    "embedded": {"config", "domain"},
    "migrations": {"config", "models"},
}
FREE = {"scripts", "benchmarks", "chaos", "tests", "deploy"}
PROJECT = {*LAYERS, *BESIDE, *FREE}

FORBIDDEN = {  # downward, and refused all the same
    *(
        (top, low)
        for top in ("api", "console", "app")
        for low in ("model_pool", "hosting", "engines")
    ),
    ("api", "tasks"),
    ("console", "api"),
}
WEB = {"app", "api", "console", "realtime"}
ROOMS = {
    **{name: {"engines"} for name in ("torch", "whisper", "ctranslate2", "faster_whisper")},
    **dict.fromkeys(("flask", "flask_smorest", "marshmallow"), WEB),
    "celery": {"celery_app", "tasks", "worker"},
    "sqlalchemy": {"tables", "models", "database", "services", "migrations"},
    "subprocess": {"audio", "embedded", "hosting"},
    "os.environ": {"config", "embedded"},
    "os.getenv": {"config", "embedded"},
}


def imports(source: str, package: str = "") -> Iterator[str]:
    """Dotted names of everything that a module imports, late imports too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = [*parents, node.module] if node.level else [node.module]
            yield from (".".join([*filter(None, base), alias.name]) for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if name in ROOMS:
                yield name


def offences(room: str, source: str, package: str = "") -> list[str]:
    """What a module in this room (its top-level name) imports and may not."""
    return [name for name in imports(source, package) if not _may_import(room, name)]


def _may_import(room: str, name: str) -> bool:
    if room in FREE:
        return True
    top = name.partition(".")[0]
    if top == room:
        return True
    if top in PROJECT:
        return _may_import_ours(room, top)
    if room == "domain" and top not in sys.stdlib_module_names:
        return False
    rooms = ROOMS.get(name) or ROOMS.get(top)
    return rooms is None or room in rooms


def _may_import_ours(room: str, top: str) -> bool:
    if room in BESIDE:
        return top in BESIDE[room]
    is_down_or_level = top in LAYERS and LAYERS[top] <= LAYERS[room]
    return is_down_or_level and (room, top) not in FORBIDDEN


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parts[:-1])


def test_every_room_has_its_place_in_the_house():
    unknown = {room_of(path) for path in python_files()} - PROJECT

    assert unknown == set()


def test_imports_point_down_and_third_parties_stay_in_their_rooms():
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in python_files()
        if (wrong := offences(room_of(path), path.read_text(), package_of(path)))
    }

    assert found == {}


def test_no_imports_run_in_circles():
    files = {module_of(path): path for path in python_files()}
    graph = {
        module: {
            target
            for name in imports(path.read_text(), package_of(path))
            for target in (name, name.rpartition(".")[0])
            if target in files and target != module
        }
        for module, path in files.items()
    }

    try:
        order = [*TopologicalSorter(graph).static_order()]
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")

    assert "domain.errors" in order


def test_package_files_are_empty_except_that_of_the_api():
    filled = [
        str(path.relative_to(ROOT))
        for path in python_files()
        if path.name == "__init__.py" and room_of(path) != "api" and path.read_text().strip()
    ]

    assert filled == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("services", "from api.errors import CODES"),
        ("domain", "import config"),
        ("domain", "import numpy"),
        ("api", "def f():\n    from model_pool import acquire_model"),
        ("api", "import tasks"),
        ("console", "from api import schemas"),
        ("app", "import engines.registry"),
        ("client", "from config import Settings"),
        ("embedded", "import services.jobs"),
        ("services", "import torch.nn"),
        ("model_pool", "import torch"),
        ("services", "from flask import g"),
        ("services", "from celery import current_app"),
        ("api", "from sqlalchemy.orm import Session"),
        ("services", "import subprocess"),
        ("services", "import os\nos.environ['X']"),
        ("api", "from os import getenv"),
        ("services", "from ..api import errors"),
    ],
)
def test_an_import_out_of_place_is_found(room: str, source: str):
    assert offences(room, source, package=room) != []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("services", "from services.jobs import submit_job\nfrom domain import errors"),
        ("model_pool", "from engines.registry import make_loader"),
        ("services", "from models import TranscriptionJob\nimport sqlalchemy as sa"),
        ("api", "from flask_smorest import Blueprint\nfrom services import jobs"),
        ("engines", "import torch"),
        ("services", "from . import jobs"),
        ("config", "import os\nos.environ"),
        ("scripts", "import torch, subprocess, api"),
    ],
)
def test_an_import_in_its_place_is_allowed(room: str, source: str):
    assert offences(room, source, package=room) == []
