"""Postgres and Valkey alone, without a supervisor: for tests and tools."""

import fcntl
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

from domain.errors import ConfigurationError
from embedded.credentials import load_credentials, make_private_folder
from embedded.errors import ServiceFailed
from embedded.ports import remembered_port
from embedded.postgres import ensure_database, postgres_url, prepare_postgres
from embedded.process import has_ended, spawn
from embedded.service import Service
from embedded.valkey import prepare_valkey, valkey_url

POLL_S = 0.02
LOG_TAIL_CHARACTERS = 2_000


class ServiceUrls(NamedTuple):
    """Addresses with their passwords, as DATABASE_URL and REDIS_URL take them."""

    database_url: str
    redis_url: str


@dataclass(frozen=True)
class RunningServer:
    """One embedded server and its address."""

    url: str
    process: Popen[bytes]
    log_path: Path


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold a data folder for this process. Raises ConfigurationError when another one does."""
    folder = data_dir / "run"
    folder.mkdir(parents=True, exist_ok=True)
    # The kernel lets go of the lock when the holder dies, however it dies.
    with (folder / "launcher.lock").open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                f"another Scriptorium already runs on {data_dir}: stop it first, "
                "or set DATA_DIR to another folder"
            ) from error
        yield


@contextmanager
def start_services(
    data_dir: Path, *, postgres_options: Mapping[str, str] | None = None
) -> Iterator[ServiceUrls]:
    """Run Postgres and Valkey on a data folder until the block is left.

    Makes the folder and the database on first use. To be entered in the main thread.
    Raises ConfigurationError or ServiceFailed.
    """
    with ExitStack() as stack:
        stack.enter_context(locked(data_dir))
        postgres = stack.enter_context(start_postgres(data_dir, options=postgres_options))
        valkey = stack.enter_context(start_valkey(data_dir))
        yield ServiceUrls(postgres.url, valkey.url)


@contextmanager
def start_postgres(
    data_dir: Path, *, options: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """Run Postgres alone, with the database `scriptorium` in it. The caller holds the folder."""
    password = load_credentials(data_dir).postgres_password
    port = remembered_port(ports_path(data_dir), "postgres")
    service = prepare_postgres(data_dir, port=port, password=password, options=options)
    with run_service(service, data_dir) as (process, log_path):
        ensure_database(postgres_url(port, password, "postgres"))
        yield RunningServer(postgres_url(port, password), process, log_path)


@contextmanager
def start_valkey(data_dir: Path) -> Iterator[RunningServer]:
    """Run Valkey alone. The caller holds the folder."""
    password = load_credentials(data_dir).valkey_password
    port = remembered_port(ports_path(data_dir), "valkey")
    service = prepare_valkey(data_dir, port=port, password=password)
    with run_service(service, data_dir) as (process, log_path):
        yield RunningServer(valkey_url(port, password), process, log_path)


def ports_path(data_dir: Path) -> Path:
    """Where a data folder notes the ports it used last."""
    return data_dir / "run" / "ports.json"


@contextmanager
def run_service(service: Service, data_dir: Path) -> Iterator[tuple[Popen[bytes], Path]]:
    """Run one service with its output in `<data_dir>/logs`; ready on entry, gone on leaving."""
    log_path = data_dir / "logs" / f"{service.name}.log"
    make_private_folder(log_path.parent)
    with log_path.open("wb") as log:
        process = spawn(
            service.argv,
            environment=service.environment,
            output=log,
            death_signal=service.death_signal,
        )
    try:
        wait_until_ready(service, process, log_path)
        yield process, log_path
    finally:
        stop_process(service, process)


def wait_until_ready(service: Service, process: Popen[bytes], log_path: Path) -> None:
    """Return when the service is ready. Raises ServiceFailed with the end of its log."""
    deadline = time.monotonic() + service.start_timeout_s
    while not service.is_ready():
        if has_ended(process) or time.monotonic() > deadline:
            said = log_path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]
            raise ServiceFailed(f"{service.name} did not start:\n{said}")
        time.sleep(POLL_S)


def stop_process(service: Service, process: Popen[bytes]) -> None:
    """Ask a process to stop, and kill it when its time is over."""
    deadline = time.monotonic() + service.stop_timeout_s
    if not has_ended(process):
        process.send_signal(service.stop_signal)
    while not has_ended(process):
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(POLL_S)
