"""`make transcribe`: from a recording to its transcript, whatever of the server is there."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from config import Settings
from domain.errors import ConfigurationError
from embedded.credentials import api_key_path
from embedded.errors import ServiceFailed
from embedded.launcher import read_settings
from embedded.process import ROOT, child_environment, die_with_parent
from embedded.server_file import find_server, read_server_file

POLL_S = 0.1
EXIT_INTERRUPTED = 130  # as shells count: 128 + SIGINT


def main(arguments: Sequence[str]) -> int:
    """Transcribe one recording: `[FILE] [options of the client]`. Returns the exit code."""
    has_file = bool(arguments) and not arguments[0].startswith("-")
    file = arguments[0] if has_file else ""
    try:
        return transcribe(file, [word for word in arguments[1 if has_file else 0 :] if word])
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (ConfigurationError, ServiceFailed) as error:
        print(f"scriptorium: {error.message}", file=sys.stderr)
        return 1


def transcribe(file: str, options: Sequence[str]) -> int:
    """Get what is missing, have a server, run the client. An empty `file` means the sample.

    Returns the client's exit code. Raises ConfigurationError or ServiceFailed.
    """
    if file and not Path(file).exists():
        raise ConfigurationError(f"{file}: no such file")
    file = file or fetch_sample()
    if names_server(options):
        return run_client([file, *options])
    settings = read_settings()
    if settings.whisper_engine != "fake":
        run_step("scripts.models", "ensure", wanted_model(options) or settings.model_size)
    with running_server(settings) as url:
        return run_client(["--server", url, file, *options], key=local_key(settings))


def names_server(options: Sequence[str]) -> bool:
    """Say whether the client's options point at a server already."""
    return any(word.partition("=")[0] == "--server" for word in options)


def wanted_model(options: Sequence[str]) -> str | None:
    """The model that the client's options ask for, if they do."""
    for word, following in pairwise((*options, "")):
        name, _, value = word.partition("=")
        if name == "--model":
            return value or following or None
    return None


def run_step(module: str, *arguments: str) -> str:
    """Run one of our scripts; what it tells people is shown, what it answers is returned."""
    finished = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        print(finished.stdout, end="", file=sys.stderr)
        raise ServiceFailed(f"`python -m {module} {' '.join(arguments)}` failed")
    return finished.stdout.strip()


def fetch_sample() -> str:
    """The path of a recording of real speech, fetched on first use."""
    print("no FILE given: taking a sample of real speech", file=sys.stderr)
    return run_step("scripts.samples", "path").splitlines()[-1]


@contextmanager
def running_server(settings: Settings) -> Iterator[str]:
    """The address of the server: the one that runs here, or one that lives as long as the block."""
    data_dir = (ROOT / settings.data_dir).resolve()
    found = find_server(data_dir)
    if found is not None:
        yield found.url
        return
    log = data_dir / "logs" / "up.log"
    print(f"starting the server (its log: {log})", file=sys.stderr)
    launcher = start_launcher(log)
    try:
        yield wait_for_server(launcher, data_dir, log)
    finally:
        stop_launcher(launcher)


def start_launcher(log: Path) -> subprocess.Popen[bytes]:
    """Start the server as a child that stops when this process is gone."""
    return subprocess.Popen(
        [sys.executable, "-m", "embedded.launcher", "--no-weights", "--log", str(log)],
        cwd=ROOT,
        env=child_environment(FLOWER_PORT="0"),  # nobody will look at it
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,  # the transcript has our own output for itself
        start_new_session=True,
        preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - no threads here
    )


def wait_for_server(launcher: subprocess.Popen[bytes], data_dir: Path, log: Path) -> str:
    """The address of the started server, once it answers. Raises ServiceFailed."""
    while launcher.poll() is None:
        noted = read_server_file(data_dir)
        if noted is not None and noted.pid == launcher.pid:
            return noted.url
        time.sleep(POLL_S)
    raise ServiceFailed(f"the server did not start; {log} has the whole story")


def local_key(settings: Settings) -> str:
    """The key of the server that runs here: of the settings, else the one it made."""
    if settings.admin_api_key:
        return settings.admin_api_key
    try:
        return api_key_path((ROOT / settings.data_dir).resolve()).read_text().strip()
    except OSError:  # it runs with an ADMIN_API_KEY that this command was not given
        return ""


def run_client(arguments: Sequence[str], *, key: str = "") -> int:
    """Run the client and return its exit code; Ctrl-C is its to handle.

    It sends `key` unless SCRIPTORIUM_API_KEY or its options name another.
    """
    environment = child_environment(PYTHONPATH=str(ROOT))
    if key:
        environment.setdefault("SCRIPTORIUM_API_KEY", key)
    # A handler and not SIG_IGN: a child would inherit that one.
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        return subprocess.run(
            [sys.executable, "-m", "client", "transcribe", *arguments],
            env=environment,
            check=False,
        ).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def stop_launcher(launcher: subprocess.Popen[bytes]) -> None:
    """Stop the server we started; an impatient Ctrl-C makes it hurry."""
    if launcher.poll() is not None:
        return
    print("stopping the server", file=sys.stderr)
    launcher.send_signal(signal.SIGTERM)
    while True:
        try:
            launcher.wait()
        except KeyboardInterrupt:
            launcher.send_signal(signal.SIGTERM)
        else:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
