"""Web and worker carry no model: they must start fast, fork cheaply and never touch a GPU."""

import subprocess
import sys

import pytest

from tests.source_tree import ROOT

HEAVY = ("torch", "whisper", "numba", "ctranslate2", "triton", "celery.bin", "llvmlite")
WEB_SCRIPT = """
import sys
from app import create_app
from config import load_settings

app = create_app(load_settings(
    database_url="postgresql://nobody@127.0.0.1:1/none",
    redis_url="redis://127.0.0.1:1/0",
    admin_api_key="0123456789abcdef",
))
client = app.test_client()
client.put("/transcribe/?model_size=nonsense", data=b"sound")
assert client.get("/health").status_code == 200
assert client.get("/openapi.json").status_code == 200
print(" ".join(sorted(sys.modules)))
"""
WORKER_SCRIPT = """
import sys
import tempfile
import tasks, worker
from pathlib import Path
from domain.errors import ModelHostLost
from hosting.client import borrow
from hosting.folder import open_folder
from services.worker_process import answer

try:
    with tempfile.TemporaryDirectory() as folder, borrow(open_folder(Path(folder)), "tiny", 0.1):
        pass
except ModelHostLost:
    print(" ".join(sorted(sys.modules)))
"""


@pytest.mark.parametrize(
    ("script", "known"), [(WEB_SCRIPT, "flask_smorest"), (WORKER_SCRIPT, "hosting.client")]
)
def test_neither_the_web_process_nor_a_prefork_child_ever_imports_a_model(script, known):
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    loaded = set(done.stdout.split())
    assert done.returncode == 0, done.stderr
    assert known in loaded
    assert loaded.isdisjoint(HEAVY)


def test_nothing_happens_at_import():
    script = "import logging, app; assert not logging.root.handlers; print(app.create_app)"

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin"},  # no setting is needed either
    )

    assert done.returncode == 0, done.stderr
    assert "create_app" in done.stdout
