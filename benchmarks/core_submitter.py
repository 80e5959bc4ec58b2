"""A process that submits: `python -m benchmarks.core_submitter KIND THREADS FILE`.

FILE is the recording in the store, as JSON. Each line on stdin is a number of jobs to submit;
the answer is a line of JSON with the seconds it took.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from audio.probe import AudioProbe

Submit = Callable[[int], object]
AUDIO_S = 1.0
CLIENTS = 8  # who the jobs belong to, in turn


def main() -> None:
    """Submit what is asked for until stdin ends."""
    kind, threads, stored = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    submit = KINDS[kind](stored)
    with ThreadPoolExecutor(threads) as pool:
        for line in sys.stdin:
            shares = share_out(int(line), threads)
            cpu_s, started_at = time.process_time(), time.perf_counter()
            for future in [pool.submit(_submit_some, submit, share) for share in shares]:
                future.result()
            said = {
                "wall_s": time.perf_counter() - started_at,
                "cpu_s": time.process_time() - cpu_s,
            }
            print(json.dumps(said), flush=True)


def share_out(count: int, parts: int) -> list[int]:
    """Split a number into parts that differ by one at most."""
    return [count // parts + (number < count % parts) for number in range(parts)]


def _submit_some(submit: Submit, count: int) -> None:
    for number in range(count):
        submit(number)


def scriptorium(stored_json: str) -> Submit:
    """As the API does after it has the whole upload: the row, its history, the doorbell."""
    from config import get_settings
    from domain.options import TranscriptionOptions
    from domain.submission import Submission
    from services.context import build_services
    from services.jobs import submit_job
    from storage.base import StoredFile

    settings = get_settings()
    services = replace(build_services(settings), probe=_known_probe)
    stored = StoredFile(**json.loads(stored_json))
    options = TranscriptionOptions(settings.model_size)

    def submit(number: int) -> object:
        return submit_job(
            services,
            stored,
            options,
            Submission(
                filename="second.wav",
                content_type="audio/x-wav",
                request_id=uuid4().hex,
                client=f"client-{number % CLIENTS}",
            ),
        )

    return submit


def celery_default(_stored: str) -> Submit:
    """A message for plain Celery."""
    return _celery("default")


def celery_alike(_stored: str) -> Submit:
    """A message for Celery with the project's settings."""
    return _celery("alike")


def procrastinate(_stored: str) -> Submit:
    """A row in procrastinate's own table."""
    from benchmarks.core_procrastinate_peer import TASK, app

    app.open()  # with a pool for threads
    task = app.tasks[TASK]
    return lambda number: task.defer(number=number)


def _celery(name: str) -> Submit:
    from benchmarks import core_celery_peer

    app = getattr(core_celery_peer, name)
    queue = core_celery_peer.queue_of(app)
    return lambda number: app.send_task(core_celery_peer.TASK, args=[number], queue=queue)


def _known_probe(_path: Path) -> AudioProbe:
    """What a probe of the recording would say. It belongs to the upload: see `latency`."""
    return AudioProbe(AUDIO_S, "wav", "pcm_s16le", 16_000, 1)


KINDS: dict[str, Callable[[str], Submit]] = {
    "scriptorium": scriptorium,
    "celery-default": celery_default,
    "celery-alike": celery_alike,
    "procrastinate": procrastinate,
}

if __name__ == "__main__":
    main()
