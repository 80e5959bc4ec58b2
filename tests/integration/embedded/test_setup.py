"""scripts/setup.py for real, in a folder of its own with requirements that need no network."""

import json
import shutil
import subprocess
import sys

import pytest

from embedded.process import ROOT

FILES = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-faster-whisper.txt",
    "requirements-torch.txt",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup.py", folder / "scripts")
    for name in FILES:
        (folder / name).write_text("# nothing\n")
    return folder


def set_up(checkout, *arguments):
    return subprocess.run(
        [sys.executable, "scripts/setup.py", *arguments],
        cwd=checkout,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def stamp(checkout):
    return json.loads((checkout / ".venv" / "scriptorium-setup.json").read_text())


def test_a_first_run_makes_everything_and_a_second_one_nothing(checkout):
    first = set_up(checkout)

    second = set_up(checkout)

    assert first.returncode == 0, first.stderr
    assert "making .venv" in first.stdout
    assert (checkout / ".venv" / "bin" / "pip").exists()
    assert "development" not in stamp(checkout)
    assert (second.returncode, second.stdout) == (0, "")


def test_tools_for_tests_are_installed_when_asked_for(checkout):
    finished = set_up(checkout, "--dev")

    assert finished.returncode == 0, finished.stderr
    assert {"development", "faster_whisper"} <= stamp(checkout).keys()


def test_the_second_engine_is_kept_in_step_by_every_later_set_up(checkout):
    set_up(checkout, "--faster-whisper")
    (checkout / "requirements-faster-whisper.txt").write_text("# a newer one\n")

    finished = set_up(checkout)

    assert finished.returncode == 0, finished.stderr
    assert "installing the engine faster_whisper" in finished.stdout


def test_changed_requirements_are_installed_without_a_new_environment(checkout):
    set_up(checkout)
    (checkout / "requirements.txt").write_text("# something else\n")

    finished = set_up(checkout)

    assert "installing the pinned packages" in finished.stdout
    assert "making .venv" not in finished.stdout


def test_a_package_without_its_hash_is_refused_and_asked_for_again(checkout):
    set_up(checkout)
    before = stamp(checkout)
    (checkout / "requirements.txt").write_text("some-package==1.0\n")

    finished = set_up(checkout)

    assert finished.returncode == 1
    assert "set-up failed: pip could not install" in finished.stderr
    assert stamp(checkout) == before


def test_an_environment_that_was_moved_is_made_anew(checkout):
    (checkout / "requirements.txt").write_text("# nothing\n")
    set_up(checkout)
    path = checkout / ".venv" / "scriptorium-setup.json"
    path.write_text(json.dumps({**stamp(checkout), "folder": "/somewhere/else/.venv"}))

    finished = set_up(checkout)

    assert "making .venv" in finished.stdout
    assert stamp(checkout)["folder"] == str(checkout / ".venv")
