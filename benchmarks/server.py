"""A whole server on a folder of its own, for as long as a measurement takes."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.errors import BenchmarkFailed
from config import Settings
from embedded.ports import LOOPBACK, free_port
from embedded.process import ROOT, child_environment, is_alive, spawn
from embedded.server_file import read_server_file

LAUNCHER = (sys.executable, "-m", "embedded.launcher")
START_TIMEOUT_S = 600.0  # weights may have to be fetched
STOP_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 10.0
POLL_S = 0.05
LOG_TAIL_CHARS = 3_000


@dataclass(frozen=True)
class RunningServer:
    """A server that answers. Times in seconds from the start of its command."""

    url: str
    admin_key: str = field(repr=False)
    launcher_pid: int
    http_ready_s: float
    worker_ready_s: float | None  # None: nobody waited for it


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder that is removed with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix="scriptorium-bench-"))
    folder.chmod(0o711)  # started by root, Postgres runs as another user and must get through
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def running_server(
    data_dir: Path,
    *,
    model_size: str,
    concurrency: int = 1,
    command: Sequence[str] = LAUNCHER,
    waits_for_worker: bool = True,
    settings: Mapping[str, str] | None = None,
) -> Iterator[RunningServer]:
    """Run `command` on `data_dir` until the block is left, ready on entry.

    With `waits_for_worker` every child of the worker holds the model by then. `settings` are
    environment variables beyond those made here. Raises BenchmarkFailed.
    """
    environment = server_environment(data_dir, model_size, concurrency, settings or {})
    log_path = data_dir / "bench.log"
    started_at = time.monotonic()
    with log_path.open("wb") as log:
        # Asked to stop, not killed: the launcher then removes what it started.
        process = spawn(command, environment=environment, output=log, death_signal=signal.SIGTERM)
    start = _Start(process, data_dir, log_path, started_at, environment)
    try:
        yield start.wait(concurrency if waits_for_worker else 0)
    finally:
        _stop(process, data_dir)


def server_environment(
    data_dir: Path, model_size: str, concurrency: int, settings: Mapping[str, str]
) -> dict[str, str]:
    """The environment of a server that shares nothing with others but the weights."""
    own = {
        "DATA_DIR": str(data_dir),
        "STORAGE_DIR": str(data_dir / "uploads"),
        "MODEL_DIR": str((ROOT / Settings().model_path).resolve()),
        # Empty and not absent: a `.env` may name the stores of a real installation.
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "HOST": LOOPBACK,
        "PORT": str(free_port()),
        "FLOWER_PORT": str(free_port()),
        "ADMIN_API_KEY": secrets.token_hex(24),
        "WHISPER_MODEL_SIZE": model_size,
        "CELERY_CONCURRENCY": str(concurrency),
        "MAKEFLAGS": "",  # of the make that may have started us
    }
    return child_environment(**{**own, **settings})


@dataclass(frozen=True)
class _Start:
    """A server on its way up."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    log_path: Path
    started_at: float
    environment: Mapping[str, str]

    def wait(self, slots: int) -> RunningServer:
        """Return once the API is ready and `slots` children hold the model."""
        url = f"http://{LOOPBACK}:{self.environment['PORT']}"
        key = self.environment["ADMIN_API_KEY"]
        model_size = self.environment["WHISPER_MODEL_SIZE"]
        with httpx.Client(base_url=url, trust_env=False, timeout=ANSWER_TIMEOUT_S) as http:
            while not _is_http_ready(http):
                self._pause("the API is ready")
            http_ready_s = self._elapsed_s()
            while _warm_slots(http, key, model_size) < slots:
                self._pause(f"{slots} children hold {model_size}")
        while (noted := read_server_file(self.data_dir)) is None:
            self._pause("the launcher has started everything")
        return RunningServer(
            url=url,
            admin_key=key,
            launcher_pid=noted.pid,
            http_ready_s=http_ready_s,
            worker_ready_s=self._elapsed_s() if slots else None,
        )

    def _elapsed_s(self) -> float:
        return time.monotonic() - self.started_at

    def _pause(self, awaited: str) -> None:
        """Wait a moment. Raises BenchmarkFailed when there is nothing to wait for."""
        has_ended = self.process.poll() is not None
        if has_ended or self._elapsed_s() > START_TIMEOUT_S:
            said = self.log_path.read_text(errors="replace")[-LOG_TAIL_CHARS:]
            how = "ended" if has_ended else f"needed more than {START_TIMEOUT_S:.0f} s"
            raise BenchmarkFailed(f"the server {how} before {awaited}:\n{said}")
        time.sleep(POLL_S)


def _is_http_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/health/ready").is_success
    except httpx.TransportError:
        return False


def _warm_slots(http: httpx.Client, key: str, model_size: str) -> int:
    try:
        answer = http.get("/admin/health", headers={"X-API-Key": key})
    except httpx.TransportError:
        return 0  # its process may have ended: whoever waits looks after that
    return count_warm_slots(answer.json(), model_size) if answer.is_success else 0


def count_warm_slots(health: Mapping[str, Any], model_size: str) -> int:
    """How many worker processes in an answer of /admin/health hold the model and live.

    Those of an earlier start on the same folder are listed until their reports are old.
    """
    return sum(
        model_size in process["model_pool"].get("models_by_size", {}) and is_alive(process["pid"])
        for worker in health["workers"]
        for process in worker["processes"]
    )


def _stop(process: subprocess.Popen[bytes], data_dir: Path) -> None:
    """Ask the launcher to stop, whatever started it; kill the session when it does not."""
    noted = read_server_file(data_dir)
    if process.poll() is None:
        os.kill(noted.pid if noted else process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
