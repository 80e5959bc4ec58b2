"""A small server that plays the HTTP contract from a script, over real sockets."""

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

HANG_UP = 0  # as a scripted status: close the connection without an answer


@dataclass
class Request:
    """What arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body_bytes: int


@dataclass
class Scripted:
    """One answer to be given in place of the usual one."""

    method: str
    path_part: str
    status: int
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    reads_body: bool = True
    lingers: bool = False  # after the answer, take the rest of the body and drop it


@dataclass
class ToyJob:
    """One job and the states it will show, one per look; the last one stays."""

    id: str
    filename: str
    states: deque
    body: bytes


DONE = {
    "status": "completed",
    "progress": 1.0,
    "current_step": "done",
    "duration": 60.0,
    "started_at": "2025-01-01T10:00:00+00:00",
    "completed_at": "2025-01-01T10:00:10+00:00",
    "model_size": "base",
    "model_used": "base",
    "language": "en",
}
RUNNING = {
    "status": "processing",
    "progress": 0.5,
    "current_step": "transcribing",
    "time_left_s": 5.0,
    "duration": 60.0,
}
QUEUED = {"status": "pending", "progress": 0.0, "current_step": "queued", "queue_position": 2}
FAILED = {
    "status": "failed",
    "progress": 0.2,
    "error_type": "audio_unreadable",
    "error_message": "the decoder found no sound",
}


class ToyServer:
    """Start with `with ToyServer() as toy`; `toy.url` is its address."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.scripted: list[Scripted] = []
        self.jobs: dict[str, ToyJob] = {}
        self.plans: dict[str, list[dict]] = {}  # by file name
        self.default_plan = [DONE]
        self.results: dict[str, bytes] = {}
        self.cancelled: list[str] = []
        self.purged: list[str] = []
        self.holds_answers_s = 0.0
        self.delete_waits_s = 0.0
        self.put_waits = False
        self.results_wait = False
        self.uploads_wait_for = 0  # so many at once, or a moment
        self.uploads_now = 0
        self.most_uploads_at_once = 0
        self.is_stopped = False
        self.changed = threading.Condition()
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.toy = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return self._http.server_address[1]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def let_go(self):
        with self.changed:
            self.put_waits = self.results_wait = False
            self.changed.notify_all()

    def restart(self):
        """Close every connection and the door, then open again with the same jobs."""
        self.is_stopped = True
        self._http.shutdown()
        self._http.server_close()
        after = ToyServer(self.port)
        after.jobs, after.results = self.jobs, self.results
        after._thread.start()
        return after

    def script(self, method, path_part, status, body=None, *, times=1, **kwargs):
        """Give this answer to the next `times` requests that match."""
        self.scripted += [Scripted(method, path_part, status, body, **kwargs)] * times

    def wait_until(self, condition, timeout_s=10.0):
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s), "the awaited request never came"

    def seen(self, method, path_part=""):
        return [r for r in self.requests if r.method == method and path_part in r.path]


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    toy: ToyServer

    def handle_error(self, request, client_address):
        """A client that hangs up is part of the play."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Silence."""

    def _handle(self):
        toy = self.server.toy
        if toy.is_stopped:
            self.close_connection = True
            return
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        scripted = self._take_script(toy, parts.path)
        body = b""
        if scripted is None or scripted.reads_body:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, parts.path, query, dict(self.headers), len(body))
        with toy.changed:
            toy.requests.append(request)
            toy.changed.notify_all()
        if scripted is None:
            self._answer(*self._play(toy, request, body))
        elif scripted.status == HANG_UP:
            self.close_connection = True
        else:
            self._answer(scripted.status, scripted.body, scripted.headers)
            self.close_connection = not scripted.reads_body
            if scripted.lingers:
                self.rfile.read(int(self.headers["Content-Length"]))

    do_GET = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - the library's names

    def _take_script(self, toy, path):
        for scripted in toy.scripted:
            if scripted.method == self.command and scripted.path_part in path:
                toy.scripted.remove(scripted)
                return scripted
        return None

    def _play(self, toy, request, body):
        if request.method in ("PUT", "POST"):
            is_form = request.method == "POST"
            url = source_url_of(request, body) if is_form else request.query["filename"]
            return self._accept(toy, url.rpartition("/")[2], body)
        if request.path == "/jobs/":
            return 200, {"jobs": [_view(job) for job in toy.jobs.values()], "has_more": False}
        job = toy.jobs.get(request.path.split("/")[2])
        if job is None:
            return 404, error("job_not_found", "there is no job with this id")
        if request.method == "DELETE":
            return self._remove(toy, request, job)
        if request.path.endswith("/result"):
            with toy.changed:
                toy.changed.wait_for(lambda: not toy.results_wait)
            text = toy.results.get(job.filename, f"text of {job.filename}".encode())
            return 200, text
        with toy.changed:
            if "wait" in request.query and toy.holds_answers_s:
                toy.changed.wait_for(lambda: job.id in toy.cancelled, toy.holds_answers_s)
        return 200, _next_view(job)

    def _accept(self, toy, name, body):
        with toy.changed:
            toy.uploads_now += 1
            toy.most_uploads_at_once = max(toy.most_uploads_at_once, toy.uploads_now)
            toy.changed.notify_all()
            if toy.uploads_wait_for:
                toy.changed.wait_for(lambda: toy.uploads_now >= toy.uploads_wait_for, 0.2)
            toy.changed.wait_for(lambda: not toy.put_waits)
            toy.uploads_now -= 1
            job = ToyJob(str(uuid4()), name, deque(toy.plans.get(name, toy.default_plan)), body)
            toy.jobs[job.id] = job
        return 202, {"job_id": job.id, "status": "pending", "message": "accepted"}

    def _remove(self, toy, request, job):
        is_purge = request.query.get("purge") == "true"
        with toy.changed:
            toy.changed.wait_for(lambda: False, toy.delete_waits_s)
            (toy.purged if is_purge else toy.cancelled).append(job.id)
            toy.changed.notify_all()
        if not is_purge:
            job.states = deque([{"status": "cancelled"}])
        return 200, _view(job)

    def _answer(self, status, body=None, headers=None):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _view(job):
    return {"job_id": job.id, "filename": job.filename, **job.states[0]}


def _next_view(job):
    view = _view(job)
    if len(job.states) > 1:
        job.states.popleft()
    return view


def source_url_of(request, body):
    """The address that a form hands in."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    (part,) = message_from_bytes(head + body).get_payload()
    assert part.get_param("name", header="Content-Disposition") == "source_url"
    return part.get_payload()


def error(code, message, **details):
    """The server's error shape."""
    return {"code": code, "message": message, "details": details, "request_id": "req-1"}
