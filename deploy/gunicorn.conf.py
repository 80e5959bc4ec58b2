"""How gunicorn serves the API. The numbers come from the settings."""

import ctypes
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.util import write_nonblock
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import ThreadWorker

from config import get_settings

settings = get_settings()

PR_SET_PDEATHSIG = 1  # linux/prctl.h

host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = f"{host}:{settings.port}"


class WebWorker(ThreadWorker):  # type: ignore[misc]
    """Ends connections that send too slowly, and event streams when it is told to stop: it would
    wait for them until it is killed. What it refuses itself it answers in the API's shape.

    Threads and not the default worker: that one is killed in the middle of an upload which
    takes longer than `timeout`, since its heartbeat is in the thread that reads the body.
    """

    wsgi: Any
    events: Any  # the hub of the streams

    def load_wsgi(self) -> None:
        """Let no more than WEB_THREADS requests in at once: the other threads are for streams."""
        from api.admission import limit_concurrency  # not in the parent, which serves nothing
        from api.current import EVENTS

        super().load_wsgi()
        self.events = self.wsgi.extensions[EVENTS]
        self.wsgi = limit_concurrency(self.wsgi, settings.web_threads)

    def handle(self, conn: Any) -> Any:
        """Serve one request of a connection, which has to keep a pace."""
        from api.pace import PacedSocket

        if not isinstance(conn.sock, PacedSocket):
            conn.sock = PacedSocket(
                conn.sock,
                grace_s=settings.slow_client_grace_s,
                min_bytes_per_s=settings.min_upload_bytes_per_s,
            )
        conn.sock.begin()
        return super().handle(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ARG002 - the library's signature
        """Answer what the application never saw, or could not, as it answers every failure."""
        from api.refused_heads import answer_to

        answer = answer_to(exc, is_head_read=req is not None)
        if answer is not None:
            with suppress(OSError):  # whoever sent it has gone, or takes no answer
                write_nonblock(client, answer)

    def handle_exit(self, sig: int, frame: object) -> None:
        """SIGTERM: the requests that run may end."""
        self._end_streams()
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: object) -> None:
        """SIGQUIT and SIGINT: nothing may."""
        self._end_streams()
        super().handle_quit(sig, frame)

    def _end_streams(self) -> None:
        if hasattr(self, "events"):  # not while it starts
            self.events.close()


worker_class = WebWorker
workers = settings.web_workers
threads = settings.web_threads + settings.max_event_streams  # made when they are needed
# The rest is for connections that wait for their next request.
worker_connections = max(1000, threads + 250)
timeout = 60  # seconds without a heartbeat of a whole worker process
graceful_timeout = 60  # seconds for requests to end at a stop
# Longer than the usual clients keep a connection that they do not use: one that we closed in the
# moment in which they send would break their request, and they may not repeat every one.
keepalive = 75  # seconds

# The longest gunicorn allows: a file name of 300 letters takes up to 12 bytes each in a URL.
limit_request_line = 8190  # bytes
limit_request_fields = 64
# Else a client of a proxy on this machine, which hands its headers on, could name another path
# than the one that the proxy saw and let through.
forwarder_headers = ""

# Heartbeats are writes to a file: on a disk that is busy they may come too late.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of files without names # nosec B108
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
