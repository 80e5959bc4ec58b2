"""The first key of a server, and those that its operator makes, as people use them."""

import os
import shlex
import stat
import subprocess
import sys

import httpx
import pytest

from embedded.process import ROOT
from tests.acceptance.conftest import await_value
from tests.setting_names import without_settings

COMMAND_TIMEOUT_S = 120
REVOKED_WITHIN_S = 30  # 5 and a busy machine


@pytest.fixture
def run(server):
    """A command in the project's folder, told of nothing but the data folder."""

    def run(*command):
        environment = {**without_settings(os.environ), "DATA_DIR": str(server.folder)}
        environment.pop("SCRIPTORIUM_API_KEY", None)
        finished = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    return run


def status_with(server, key):
    return httpx.get(f"{server.url}/jobs/", headers={"X-API-Key": key}, timeout=30).status_code


def test_without_a_key_nothing_is_told(server):
    answer = httpx.get(f"{server.url}/jobs/")

    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_invalid")


def test_the_line_to_try_that_the_server_prints_works_as_it_is(server, run, short_speech):
    [line] = [line for line in server.log_text().splitlines() if "  Try it  " in line]
    command = line.partition("Try it")[2].strip()
    recording = shlex.quote(f"file=@{short_speech}")

    answer = run("bash", "-c", command.replace("file=@recording.mp3", recording))

    assert '"job_id"' in answer


def test_the_file_of_the_key_is_for_its_owner_alone(server):
    path = server.folder / "api-key"

    assert path.read_text().strip() == server.admin["X-API-Key"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_client_finds_the_key_of_the_server_by_itself(server, run, short_speech):
    client = (sys.executable, "-m", "client", "transcribe")

    text = run(*client, "--server", server.url, str(short_speech))

    assert "country" in text


def test_a_key_from_the_command_line_opens_and_after_its_revocation_does_not(server, run):
    keys = (sys.executable, "-m", "scripts.keys")

    key = run(*keys, "create", "phone", "--scope", "read").strip()
    status = status_with(server, key)
    [made] = server.client.get("/admin/keys", params={"state": "active"}).json()["keys"]
    run(*keys, "revoke", made["id"])

    assert status == 200
    assert key.startswith(made["prefix"])
    await_value(lambda: status_with(server, key) == 401, REVOKED_WITHIN_S, "the key to be refused")


def test_no_secret_stands_in_the_log(server, run):
    key = run(sys.executable, "-m", "scripts.keys", "create", "phone").strip()
    token = httpx.post(f"{server.url}/tokens", headers={"X-API-Key": key}).json()["token"]
    httpx.get(f"{server.url}/jobs/", params={"token": token})

    log = server.log_text()

    assert "http_request" in log
    assert not any(secret in log for secret in (key, token, server.admin["X-API-Key"]))
