"""The server under attack: its processes, its broker, and who works for whom."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import redis

from celery_app import TASK_TRANSCRIBE, make_celery
from chaos.lanes import slot_of
from chaos.rows import Database
from config import CONSUMED_QUEUES, QUEUE_NORMAL, Settings
from hosting.client import describe_hosts
from hosting.folder import open_folder

TIMEOUT_S = 5.0


@dataclass
class Target:
    """One server that runs, with what was started beside it."""

    url: str
    settings: Settings  # as its processes see them
    parents: tuple[int, ...]  # process ids of the launcher and of what runs beside it
    database: Database
    slots: dict[int, int] = field(default_factory=dict)  # place of each worker, by process id

    @property
    def key(self) -> str:
        """What every request to it carries."""
        return self.settings.admin_api_key

    @property
    def children_per_worker(self) -> int:
        """How many prefork children each worker has."""
        return self.settings.celery_worker_concurrency

    def workers(self) -> list[psutil.Process]:
        """The parents of the prefork children; notes which place each new one takes."""
        found = list(self._services("worker.py", "worker"))
        self.slots |= {process.pid: slot_of(_words(process)) for process in found}
        return found

    def worker_in(self, slot: int) -> psutil.Process | None:
        """The worker in a place, if one runs there now."""
        return next((worker for worker in self.workers() if self.slots[worker.pid] == slot), None)

    def children(self, worker: psutil.Process) -> list[psutil.Process]:
        """The prefork children of a worker, which may be the parent of a model host, too."""
        host = self.model_host()
        return [child for child in worker.children() if child != host]

    def model_host(self) -> psutil.Process | None:
        """The process that holds the models for all workers."""
        pid = open_folder(self.settings.run_path).holder(0)
        return psutil.Process(pid) if pid and psutil.pid_exists(pid) else None

    def is_model_host_up(self) -> bool:
        """Whether a model host answers."""
        return bool(describe_hosts(open_folder(self.settings.run_path)))

    def ready_children(self, worker: psutil.Process) -> set[int]:
        """Process ids of children that live and have reported."""
        return {child.pid for child in worker.children()} & self.database.children(worker.pid)

    def is_worker_ready(self, worker: psutil.Process | None) -> bool:
        """Whether all children of a worker live and have reported."""
        return worker is not None and len(self.ready_children(worker)) >= self.children_per_worker

    def reconcilers(self) -> list[psutil.Process]:
        """The reconcilers, one of which leads."""
        return list(self._services("worker.py", "reconciler"))

    def leader(self) -> psutil.Process | None:
        """The reconciler that leads now."""
        port = self.database.leader_port()
        for process in self.reconcilers():
            ports = {connection.laddr.port for connection in process.net_connections("tcp")}
            if port in ports:
                return process
        return None

    def api(self) -> list[psutil.Process]:
        """The API's master and its workers."""
        masters = list(self._services("gunicorn"))
        return [process for master in masters for process in (master, *master.children())]

    def postmaster(self) -> psutil.Process | None:
        """The first process of Postgres."""
        return next(self._services("postgres", "-D"), None)

    def valkey(self) -> psutil.Process | None:
        """The broker's process."""
        return next((p for p in self._own() if "valkey-server" in " ".join(_words(p))), None)

    def is_api_ready(self) -> bool:
        """Whether the API answers that it can serve."""
        try:
            return httpx.get(
                f"{self.url}/health/ready", timeout=TIMEOUT_S, trust_env=False
            ).is_success
        except httpx.TransportError:
            return False

    def broker(self) -> redis.Redis:
        """A connection to the broker."""
        return redis.Redis.from_url(
            self.settings.redis_url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S
        )

    def is_broker_up(self) -> bool:
        """Whether the broker answers."""
        try:
            with self.broker() as broker:
                return bool(broker.ping())
        except redis.RedisError:
            return False

    def messages(self) -> int:
        """How many messages stand in the queues."""
        with self.broker() as broker:
            return sum(int(broker.llen(queue)) for queue in CONSUMED_QUEUES)

    def drop_broker_file(self) -> None:
        """Have the broker write no file any more, and remove what it wrote."""
        folder: Path = self.settings.data_dir / "valkey"
        with self.broker() as broker:
            broker.config_set("appendonly", "no")
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.suffix in (".rdb", ".aof"):
                path.unlink()

    def copy_messages(self) -> int:
        """Put a copy of every message behind those that stand in its queue; says how many."""
        copied = 0
        with self.broker() as broker:
            for queue in CONSUMED_QUEUES:
                messages: list[Any] = broker.lrange(queue, 0, -1)
                if messages:
                    broker.lpush(queue, *reversed(messages))
                copied += len(messages)
        return copied

    def ring(self, job_ids: Sequence[UUID]) -> None:
        """Ring once more for these jobs, as the server itself would."""
        app = make_celery(lambda: self.settings)
        for job_id in job_ids:
            app.send_task(TASK_TRANSCRIBE, args=[str(job_id)], queue=QUEUE_NORMAL)
        app.close()

    def _services(self, *words: str) -> Iterator[psutil.Process]:
        return (process for process in self._own() if _has_words(_words(process), words))

    def _own(self) -> Iterator[psutil.Process]:
        for pid in self.parents:
            yield from psutil.Process(pid).children()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _has_words(command: Sequence[str], words: Sequence[str]) -> bool:
    """Whether each word is an argument, or the name of a program or a script, of a command."""
    return all(any(Path(part).name == word for part in command) for word in words)
