"""The whole server as its users run it: in a folder of its own, real speech, real weights."""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import wave
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest

from config import Settings
from embedded.process import ROOT, spawn
from embedded.server_file import find_server
from scripts.samples import sample_path
from tests.setting_names import without_settings

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 90
JOB_TIMEOUT_S = 240
POLL_S = 0.1


class Server:
    """One running server, and ways to look at it and to hurt it."""

    def __init__(self, folder, **environment):
        self.folder = folder
        self.log = folder / "server.log"
        self._environment = {
            **without_settings(os.environ),
            "DATA_DIR": str(folder),
            "MODEL_DIR": str(Settings(_env_file=None).model_path),
            "WHISPER_MODEL_SIZE": "tiny",
            # Faults are found in seconds here and not in half a minute.
            "HEARTBEAT_S": "0.5",
            "LEASE_S": "6",
            "REAP_INTERVAL_S": "0.5",
            "RETRY_BASE_S": "0.5",
            "REDISPATCH_AFTER_S": "5",
            "LIMIT_REQUESTS_PER_MINUTE": "0",  # all tests together are one client
            **environment,
        }
        self._process = None

    def start(self):
        with self.log.open("wb") as log:
            self._process = spawn(
                [sys.executable, "-m", "embedded.launcher"],
                environment=self._environment,
                output=log,
                death_signal=signal.SIGKILL,  # a killed test run leaves no server behind
                folder=ROOT,
            )
        found = await_value(
            lambda: find_server(self.folder) or self._fail_if_gone(), START_TIMEOUT_S, "the server"
        )
        self.url = found.url
        self.client = httpx.Client(base_url=found.url, headers=self.admin, timeout=90)
        await_value(self.workers, START_TIMEOUT_S, "a worker")
        return self

    def _fail_if_gone(self):
        if self._process.poll() is not None:
            pytest.fail(f"the server ended:\n{self.log_text()[-4000:]}")

    @property
    def launcher_pid(self):
        return self._process.pid

    @property
    def secrets(self):
        return json.loads((self.folder / "secrets.json").read_text())

    @property
    def admin(self):
        return {"X-API-Key": self.secrets["admin_api_key"]}

    def log_text(self):
        return self.log.read_text(errors="replace")

    def workers(self):
        answer = self.client.get("/admin/health", headers=self.admin)
        return answer.json()["workers"] if answer.status_code == 200 else []

    def processes(self):
        launcher = psutil.Process(self._process.pid)
        return [launcher, *launcher.children(recursive=True)]

    def find_processes(self, *words):
        """Processes of this server whose command line holds all of these words."""
        return [
            process
            for process in self.processes()
            if all(word in " ".join(cmdline_of(process)) for word in words)
        ]

    def worker_parent(self):
        return next(
            process
            for process in self.find_processes("worker.py")
            if cmdline_of(process)[-1] == "worker" and process.parent().pid == self._process.pid
        )

    def worker_processes(self):
        """Every worker's parent and its children."""
        return self.find_processes("worker.py worker")

    def submit(self, path, *, client=None, **options):
        headers = {"X-Client-ID": client} if client else {}
        with Path(path).open("rb") as stream:
            answer = self.client.post(
                "/transcribe/", files={"file": stream}, data=options, headers=headers
            )
        assert answer.status_code == 202, answer.text
        return answer.json()["job_id"]

    def events(self, job_id):
        """The names of the job's history, oldest first."""
        rows = self.query("SELECT event FROM job_events WHERE job_id = %s ORDER BY id", job_id)
        return [event for (event,) in rows]

    def started(self):
        """Ids of jobs in the order of their starts, later attempts included."""
        rows = self.query("SELECT job_id FROM job_events WHERE event = 'started' ORDER BY id")
        return [str(job_id) for (job_id,) in rows]

    def await_start(self, *job_ids):
        """Once all of these jobs have a worker."""
        await_value(
            lambda: all(self.job(job_id)["status"] == "processing" for job_id in job_ids),
            JOB_TIMEOUT_S,
            "the jobs to start",
        )

    def job(self, job_id):
        return self.client.get(f"/transcribe/{job_id}").json()

    def await_job(self, job_id, *statuses, timeout_s=JOB_TIMEOUT_S):
        """The job once it has one of these statuses (any end by default)."""
        wanted = statuses or ("completed", "failed", "cancelled")

        def look():
            job = self.job(job_id)
            return job if job["status"] in wanted else None

        return await_value(look, timeout_s, f"job {job_id} to be {wanted}")

    def await_decoding(self, job_id):
        """The job once its first windows are decoded."""
        return await_value(
            lambda: job if 0 < (job := self.job(job_id))["progress"] < 1 else None,
            JOB_TIMEOUT_S,
            "the first window",
        )

    def query(self, statement, *values):
        """Rows of the server's own database."""
        ports = json.loads((self.folder / "run" / "ports.json").read_text())
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=ports["postgres"],
            user="scriptorium",
            password=self.secrets["postgres_password"],
            dbname="scriptorium",
        )
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall()
        finally:
            connection.close()

    def stop(self):
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(STOP_TIMEOUT_S)


def cmdline_of(process):
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def await_value(look, timeout_s, what):
    """What `look` returns once it is true. A server that is away meanwhile is asked again."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            found = look()
        except (httpx.TransportError, KeyError, json.JSONDecodeError):
            found = None
        if found:
            return found
        time.sleep(POLL_S)
    pytest.fail(f"waited {timeout_s} s for {what}")


@pytest.fixture(scope="session")
def make_server():
    """Start servers in folders of their own; all are stopped and removed in the end."""
    made = []

    def make(**environment):
        folder = Path(tempfile.mkdtemp(prefix="scriptorium-acceptance-"))
        folder.chmod(0o711)
        server = Server(folder, **environment)
        made.append(server)
        return server.start()

    yield make
    for server in made:
        server.stop()
        shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def server(make_server):
    """One server for all tests that leave it whole."""
    return make_server()


@pytest.fixture(scope="session")
def speech():
    """44 seconds of a read novel."""
    return sample_path("two_cities.wav")


@pytest.fixture(scope="session")
def long_speech(speech, tmp_path_factory):
    """Four times the novel: three minutes, so that a fault hits the middle of the work, if it
    is decoded in sequence.
    """
    return repeat(speech, 4, tmp_path_factory.mktemp("speech") / "long.wav")


@pytest.fixture(scope="session")
def very_long_speech(speech, tmp_path_factory):
    """Half an hour: what three minutes are in sequence, it is for windows side by side."""
    return repeat(speech, 40, tmp_path_factory.mktemp("speech") / "very-long.wav")


def repeat(speech, times, target_path):
    with wave.open(str(speech)) as source, wave.open(str(target_path), "wb") as target:
        target.setparams(source.getparams())
        frames = source.readframes(source.getnframes())
        for _ in range(times):
            target.writeframes(frames)
    return target_path


@pytest.fixture(scope="session")
def short_speech():
    """11 seconds of a speech."""
    return sample_path("jfk.wav")
