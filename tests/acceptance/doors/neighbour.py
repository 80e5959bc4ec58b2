"""Another server in the same network: it has recordings to fetch, and takes webhooks."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """One request that was sent to the neighbour."""

    path: str
    headers: dict[str, str]  # names in small letters
    body: bytes


class Neighbour:
    """Serves `files` by their paths, and remembers what is posted."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.received: list[Received] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def host_and_port(self):
        """As OUTGOING_ALLOW wants it."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def url(self, path):
        return f"http://{self.host_and_port}{path}"

    def posted_to(self, path):
        return [request for request in self.received if request.path == path]

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _make_handler(self):
        neighbour = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                content = neighbour.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Type", "audio/wav")
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                neighbour.received.append(Received(self.path, headers, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        return Handler
