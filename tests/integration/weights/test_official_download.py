import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from engines.weights.catalog import OfficialWeights
from engines.weights.ensure import download_official, ensure_official

CONTENT = bytes(range(256)) * 16_384  # 4 MiB: more than one piece
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if "absent" in self.path:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000] if "cut" in self.path else CONTENT)

    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def address():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_published_file_is_streamed_checked_and_put_in_place(address, tmp_path):
    weights = OfficialWeights("small", f"{address}/{SHA256}/small.pt")
    lines = []

    path = ensure_official(weights, tmp_path, on_progress=lines.append)

    assert path.read_bytes() == CONTENT
    assert lines[-1] == "fetching small: 100 % of 4 MB"


@pytest.mark.parametrize("trouble", ["absent", "cut"])
def test_an_address_that_does_not_give_the_whole_file_is_an_error(address, tmp_path, trouble):
    weights = OfficialWeights("small", f"{address}/{SHA256}/{trouble}.pt")

    with pytest.raises(httpx.HTTPError):
        download_official(weights, tmp_path / "small.pt", lambda _line: None)


def test_an_address_where_nobody_listens_is_an_error(tmp_path):
    weights = OfficialWeights("small", f"http://127.0.0.1:9/{SHA256}/small.pt")

    with pytest.raises(httpx.ConnectError):
        download_official(weights, tmp_path / "small.pt", lambda _line: None)
