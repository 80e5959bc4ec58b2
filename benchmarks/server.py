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
from benchmarks.processes import cpu_seconds
from config import Settings
from embedded.ports import LOOPBACK, free_port
from embedded.process import ROOT, child_environment, is_alive, spawn
from embedded.server_file import read_server_file
from hosting.folder import open_folder

LAUNCHER = (sys.executable, "-m", "embedded.launcher")
START_TIMEOUT_S = 600.0  # weights may have to be fetched
STOP_TIMEOUT_S = 120.0
HOST_STOP_TIMEOUT_S = 30.0  # after the last worker; one that was killed lets it linger
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
    data_dir: Path

    @property
    def headers(self) -> dict[str, str]:
        """What every request to it carries."""
        return {"X-API-Key": self.admin_key}

    def host_pids(self) -> list[int]:
        """The model hosts that live now: they may outlive the worker that started them."""
        return model_host_pids(self.data_dir)

    def cpu_seconds(self) -> float:
        """Processor time of all its processes since their start."""
        return cpu_seconds(self.launcher_pid, self.host_pids())


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

    With `waits_for_worker` the model host holds the model by then, and every child of the worker
    reports. `settings` are environment variables beyond those made here. Raises BenchmarkFailed.
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
        "LIMIT_REQUESTS_PER_MINUTE": "0",  # one client stands for many
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
        """Return once the API is ready, and `slots` children report that the model is there."""
        url = f"http://{LOOPBACK}:{self.environment['PORT']}"
        key = self.environment["ADMIN_API_KEY"]
        model_size = self.environment["WHISPER_MODEL_SIZE"]
        with httpx.Client(base_url=url, trust_env=False, timeout=ANSWER_TIMEOUT_S) as http:
            while not _is_http_ready(http):
                self._pause("the API is ready")
            http_ready_s = self._elapsed_s()
            while _warm_slots(http, key, model_size) < slots:
                self._pause(f"{model_size} is there for {slots} children")
        while (noted := read_server_file(self.data_dir)) is None:
            self._pause("the launcher has started everything")
        return RunningServer(
            url=url,
            admin_key=key,
            launcher_pid=noted.pid,
            http_ready_s=http_ready_s,
            worker_ready_s=self._elapsed_s() if slots else None,
            data_dir=self.data_dir,
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
    """How many living worker processes an answer of /admin/health lists, once a living model
    host has the model for them; 0 before.

    Those of an earlier start on the same folder are listed until their reports are old.
    """
    hosts = health["model_hosts"]
    if not any(model_size in host["pool"]["models_by_size"] and is_alive(host["pid"])
               for host in hosts):  # fmt: skip
        return 0
    return sum(
        is_alive(process["pid"]) for worker in health["workers"] for process in worker["processes"]
    )


def model_host_pids(data_dir: Path) -> list[int]:
    """Process ids of the model hosts of a server on this folder, in the order of their places."""
    run_path = (data_dir / "run").resolve()
    if not run_path.exists():  # looking would make it
        return []
    folder = open_folder(run_path)
    holders = (folder.holder(place) for place in folder.places())
    return [pid for pid in holders if pid is not None]


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
    _await_hosts(data_dir)


def _await_hosts(data_dir: Path) -> None:
    """Wait until no model host is left: they have sessions of their own, and end by themselves."""
    ends_at = time.monotonic() + HOST_STOP_TIMEOUT_S
    while pids := model_host_pids(data_dir):
        if time.monotonic() > ends_at:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            return
        time.sleep(POLL_S)
