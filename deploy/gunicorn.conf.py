"""How gunicorn serves the API. The numbers come from the settings."""

import ctypes
import signal
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from config import get_settings

settings = get_settings()

PR_SET_PDEATHSIG = 1  # linux/prctl.h

host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = f"{host}:{settings.port}"

# Threads and not the default worker: that one is killed in the middle of an upload which
# takes longer than `timeout`, since its heartbeat is in the thread that reads the body.
worker_class = "gthread"
workers = settings.web_workers
threads = settings.web_threads
timeout = 60  # seconds without a heartbeat of a whole worker process
graceful_timeout = 60  # seconds for requests to end at a stop
keepalive = 5  # seconds

# The longest gunicorn allows: a file name of 300 letters takes up to 12 bytes each in a URL.
limit_request_line = 8190  # bytes
limit_request_fields = 64

# Heartbeats are writes to a file: on a disk that is busy they may come too late.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of files without names
control_socket_disable = True  # it would stand in the home folder, one for all servers there

accesslog = None  # the API logs its requests itself, with their ids
loglevel = settings.log_level.lower()


def post_fork(_arbiter: Arbiter, _worker: Worker) -> None:
    """Give the new process database connections of its own, and tie it to its parent's life."""
    from database import dispose_engine  # not in the parent, which needs no database

    # gunicorn's worker sees by itself that its parent was killed, and then waits for
    # requests to end: a slow upload would keep the port taken.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    dispose_engine()
