"""Make .venv with the pinned packages. Standard library only: it runs before there is anything.

    python3 scripts/setup.py                     what the server needs
    python3 scripts/setup.py --faster-whisper    and the second engine
    python3 scripts/setup.py --dev               and all that the tests need

A second run does nothing unless a requirements file, Python or the folder changed. The syntax
is one that old Pythons read, so that they can say they are too old.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence  # noqa: UP035 - old Pythons have no other

OLDEST_PYTHON = (3, 11)
KNOWN_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "scriptorium-setup.json"
SERVER_FILES = ("requirements.txt", "requirements-torch.txt")
EXTRAS = {  # each is installed after the server, from one file
    "faster_whisper": ("requirements-faster-whisper.txt", "the engine faster_whisper"),
    "development": ("requirements-dev.txt", "the tools for tests and checks"),
}


class SetupFailed(Exception):
    """A step of the set-up failed; the message says what to do."""


def main(arguments: Sequence[str]) -> int:
    """Set up what is missing. Returns the exit code."""
    if sys.version_info < OLDEST_PYTHON:
        return hand_to_newer_python(arguments)
    wanted = {"server": fingerprint(SERVER_FILES)}
    for part in extras_wanted(arguments):
        wanted[part] = fingerprint(("requirements.txt", EXTRAS[part][0]))
    try:
        with one_at_a_time():
            set_up(wanted)
    except SetupFailed as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    return 0


def extras_wanted(arguments: Sequence[str]) -> list[str]:
    """Which extras to bring up to date. The engine stays in step once it is there."""
    if "--dev" in arguments:
        return list(EXTRAS)
    is_asked_for = "--faster-whisper" in arguments or "faster_whisper" in read_stamp()
    return ["faster_whisper"] if is_asked_for else []


def set_up(wanted: dict[str, str]) -> None:
    """Bring .venv to the wanted fingerprints. Raises SetupFailed."""
    done = read_stamp()
    here = {"folder": str(VENV), "python": python_version()}
    # A .venv without a stamp was made by hand, or its set-up was cut off: pip completes it.
    is_ours = all(done.get(name, value) == value for name, value in here.items())
    if not VENV_PYTHON.exists() or not is_ours:
        done = {}
        make_venv()
    missing = [part for part, print_ in wanted.items() if done.get(part) != print_]
    if "server" in missing:
        install_server()
    for part in EXTRAS:
        if part in missing:
            install_extra(part)
    if missing:
        STAMP.write_text(json.dumps({**done, **wanted, **here}, indent=2) + "\n")


def hand_to_newer_python(arguments: Sequence[str]) -> int:
    """Run this script with a newer Python when there is one; else say what is missing."""
    for name in KNOWN_PYTHONS:
        newer = shutil.which(name)
        # A version manager's stand-in may be on the path for a Python that is not there.
        if (
            newer
            and subprocess.run([newer, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            os.execv(newer, [newer, __file__, *arguments])  # noqa: S606 - no shell is meant
    print(
        f"Scriptorium needs Python 3.11 or newer, and {sys.executable} is {python_version()}.\n"
        "Install a newer one and run `make PYTHON=/path/to/python3.12 ...`",
        file=sys.stderr,
    )
    return 1


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let two set-ups of one folder run one after the other."""
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def python_version() -> str:
    """The version of the running Python, as 3.11."""
    return ".".join(map(str, sys.version_info[:2]))


def fingerprint(names: Sequence[str]) -> str:
    """One SHA-256 over requirements files."""
    total = hashlib.sha256()
    for name in names:
        total.update((ROOT / name).read_bytes())
    return total.hexdigest()


def read_stamp() -> dict[str, str]:
    """What earlier runs completed; empty when there was none."""
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def make_venv() -> None:
    """Make an empty .venv with pip in it. Raises SetupFailed."""
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    with step("making .venv"):
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode == 0:
            return
        # Debian keeps ensurepip in a package of its own; the system's pip can stand in.
        if run([*command, "--without-pip"]) and install_pip_from_outside():
            return
    shutil.rmtree(VENV, ignore_errors=True)
    raise SetupFailed(
        f"`{' '.join(command)}` said:\n{(made.stdout + made.stderr).strip()}\n"
        f"On Debian and Ubuntu `apt install python{python_version()}-venv` brings what is "
        "missing; without apt, any Python that can make environments does: "
        "`make PYTHON=/path/to/python3.12 ...`"
    )


def install_pip_from_outside() -> bool:
    """Put pip into .venv by the pip or the uv of the machine. Says whether it worked."""
    uv = shutil.which("uv")
    return run(
        [sys.executable, "-m", "pip", "--python", str(VENV_PYTHON), "install", "-q", "pip"]
    ) or (uv is not None and run([uv, "pip", "install", "-q", "--python", str(VENV_PYTHON), "pip"]))


def install_server() -> None:
    """Install what the server runs on. Raises SetupFailed."""
    locked = ROOT / "requirements.txt"
    with step("installing the pinned packages, each checked by its hash"):
        pip_install("-qq", "--no-deps", "--require-hashes", "-r", str(locked))
    # Not by hash: its CPU and CUDA builds are different files of one version.
    quiet = [] if sys.stdout.isatty() else ["-qq"]
    with step("installing torch, the largest of them"):
        # The conflict it would warn of: whisper asks for triton, which only CUDA builds bring.
        pip_install(*quiet, "--no-warn-conflicts", "-r", str(ROOT / "requirements-torch.txt"))


def install_extra(part: str) -> None:
    """Install one of `EXTRAS`. Raises SetupFailed."""
    name, what = EXTRAS[part]
    with step(f"installing {what}"):
        pip_install("-qq", "--no-deps", "--require-hashes", "-r", str(ROOT / name))


def pip_install(*arguments: str) -> None:
    """Run the pip of .venv. Raises SetupFailed."""
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    if subprocess.run([*pip, *arguments], stdin=subprocess.DEVNULL, check=False).returncode != 0:
        raise SetupFailed("pip could not install the packages; its message stands above")


def run(command: Sequence[str]) -> bool:
    """Run quietly and say whether it worked."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done and how long it took, in seconds."""
    print(f"set-up: {what} ...", flush=True)
    started_at = time.monotonic()
    yield
    print(f"set-up: done in {time.monotonic() - started_at:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
