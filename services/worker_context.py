"""What a worker's use cases need on top of the web's: samples, models, and news of a stop."""

import os
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from audio.decode import DecodedAudio, decode
from audio.ffmpeg import find_ffmpeg
from config import get_settings
from hosting.client import describe_hosts
from hosting.folder import open_folder
from model_pool import acquire_model
from services.context import Services, build_services
from services.dispatch import publish_dead_letter
from services.drain import DRAIN
from services.estimates import Speeds


@dataclass(frozen=True)
class WorkerServices:
    """The collaborators of `run_job`."""

    base: Services
    worker: str  # as it stands in leases and dead letters
    decode: Callable[..., DecodedAudio]
    acquire_model: Callable[..., AbstractContextManager[Any]]  # of a hosting.client.HostedModel
    describe_hosts: Callable[[], list[dict[str, Any]]]
    is_draining: Callable[[], bool]
    publish_dead_letter: Callable[[UUID], None]
    speeds: Speeds = field(default_factory=Speeds)
    end_process: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGKILL)


def worker_name() -> str:
    """The worker that this child belongs to: host and the parent's process id."""
    return f"{socket.gethostname()}:{os.getppid()}"


def child_name() -> str:
    """One prefork child, under its worker's name."""
    return f"{worker_name()}/{os.getpid()}"


@lru_cache(maxsize=1)
def _of_process(pid: int) -> WorkerServices:
    settings = get_settings()
    return WorkerServices(
        base=build_services(settings),
        worker=f"{worker_name()}/{pid}",
        decode=partial(decode, ffmpeg=find_ffmpeg(settings.ffmpeg_bin)),
        acquire_model=partial(acquire_model, timeout=settings.model_acquire_timeout_s),
        describe_hosts=lambda: describe_hosts(open_folder(settings.run_path)),
        is_draining=DRAIN.is_raised,
        publish_dead_letter=publish_dead_letter,
    )


def worker_services() -> WorkerServices:
    """Real collaborators, made once in each child: nothing of the parent's is shared."""
    return _of_process(os.getpid())
