import os
import shutil
import stat
import subprocess
import sys

import pytest

from domain.errors import ConfigurationError
from hosting.folder import MAX_SOCKET_PATH, open_folder


def test_only_its_owner_may_look_into_the_folder(tmp_path):
    folder = open_folder(tmp_path)

    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.path / "key").stat().st_mode) == 0o600


def test_a_folder_that_others_may_look_into_is_refused(tmp_path):
    open_folder(tmp_path).path.chmod(0o755)

    with pytest.raises(ConfigurationError, match="closed to all others"):
        open_folder(tmp_path)


def test_all_processes_know_the_same_key(tmp_path):
    keys = {open_folder(tmp_path).key for _ in range(3)}

    assert len(keys) == 1
    assert len(keys.pop()) == 32


def test_folders_have_keys_of_their_own(tmp_path):
    assert open_folder(tmp_path / "a").key != open_folder(tmp_path / "b").key


def test_the_path_of_a_socket_is_never_too_long(tmp_path):
    deep = tmp_path / ("d" * 120)

    folder = open_folder(deep)
    again = open_folder(deep)

    shutil.rmtree(folder.path)  # it had to be outside the test's own folder
    assert len(str(folder.socket(99))) <= MAX_SOCKET_PATH
    assert folder.path == again.path


def test_a_folder_that_is_a_link_is_refused(tmp_path):
    path = open_folder(tmp_path).path
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigurationError, match="must belong"):
        open_folder(tmp_path)


def test_one_process_holds_a_place(tmp_path):
    folder = open_folder(tmp_path)

    with folder.held(0) as first, folder.held(0) as second, folder.held(1) as other:
        assert (first, second, other) == (True, False, True)
        assert folder.holder(0) == os.getpid()

    assert folder.holder(0) is None


def test_a_place_is_free_when_its_holder_was_killed(tmp_path):
    folder = open_folder(tmp_path)
    code = (
        "import os, sys; from pathlib import Path; from hosting.folder import open_folder\n"
        "with open_folder(Path(sys.argv[1])).held(0): os.kill(os.getpid(), 9)"
    )

    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)

    assert folder.holder(0) is None
    with folder.held(0) as is_ours:
        assert is_ours


def test_a_place_without_a_host_has_no_holder(tmp_path):
    assert open_folder(tmp_path).holder(7) is None
