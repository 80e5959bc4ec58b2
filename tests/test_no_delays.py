"""No delay is ever left to the broker: Postgres keeps the time of every retry.

A delayed message waits in the memory of one worker, is run twice once it waits longer than the
visibility timeout, and passes by the order of the queues.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source_tree import ROOT, python_files

# Tests hold samples of what is refused; a benchmark's peer may delay what it likes.
NOT_PRODUCTION = {"tests", "benchmarks"}
DELAYING_ARGUMENTS = {"countdown", "eta", "expires"}  # of apply_async, send_task, signature ...
RETRYING_OPTIONS = {"autoretry_for", "retry_backoff", "default_retry_delay"}  # of a task


def delays(source: str) -> Iterator[str]:
    """Everything in a module that leaves a wait or a retry to Celery."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            names = {keyword.arg for keyword in node.keywords}
            yield from sorted(names & (DELAYING_ARGUMENTS | RETRYING_OPTIONS))
            if isinstance(node.func, ast.Attribute) and node.func.attr == "retry":
                yield f".retry() in line {node.lineno}"
        elif isinstance(node, ast.Dict):
            keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
            yield from sorted(keys & (DELAYING_ARGUMENTS | RETRYING_OPTIONS))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {target.id for target in targets if isinstance(target, ast.Name)}
            yield from sorted(names & RETRYING_OPTIONS)
        elif isinstance(node, ast.Attribute) and node.attr == "Retry":
            yield f".Retry in line {node.lineno}"


def production_files() -> Iterator[Path]:
    for path in python_files():
        if path.relative_to(ROOT).parts[0] not in NOT_PRODUCTION:
            yield path


def test_no_delay_and_no_retry_is_left_to_the_broker():
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in production_files()
        if (wrong := [*delays(path.read_text())])
    }

    assert found == {}


def test_the_task_and_its_callers_are_among_the_files_that_are_read():
    names = {str(path.relative_to(ROOT)) for path in production_files()}

    assert {"tasks.py", "celery_app.py", "services/dispatch.py", "services/sweeps.py"} <= names


@pytest.mark.parametrize(
    "source",
    [
        "task.apply_async(args=[1], countdown=30)",
        "task.apply_async(args=[1], eta=tomorrow)",
        "task.apply_async(args=[1], expires=60)",
        "app.send_task('name', args=[1], countdown=30)",
        "app.send_task('name', **{'countdown': 30})",
        "task.signature((1,), countdown=30)",
        "task.s(1).set(countdown=30)",
        "def run(self):\n    self.retry()",
        "def run(self):\n    raise self.retry(exc=error, queue='transcription.retry')",
        "@app.task(autoretry_for=(OSError,))\ndef run(): ...",
        "@app.task(bind=True, retry_backoff=True)\ndef run(): ...",
        "class Task(Base):\n    autoretry_for = (OSError,)",
        "class Task(Base):\n    default_retry_delay: int = 30",
        "raise celery.exceptions.Retry",
    ],
)
def test_a_delay_is_found(source):
    assert [*delays(source)] != []


@pytest.mark.parametrize(
    "source",
    [
        "app.send_task('name', args=[1], queue='transcription.retry')",
        "lifecycle.retry_later(session, mine, failed, after)",
        "config = {'task_publish_retry': False}",
        "# never countdown=30\nx = 'eta=1'",
    ],
)
def test_a_plain_message_is_no_delay(source):
    assert [*delays(source)] == []
