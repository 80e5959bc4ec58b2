"""Kept machine code is a convenience: the loops run wherever the program runs."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from engines.batched.compiling import compile_loops
from tests.source_tree import ROOT

DOUBLE = """
import sys
import numba, numpy as np
from engines.batched.compiling import compile_loops

@compile_loops(parallel=True)
def double(numbers):
    for i in numba.prange(len(numbers)):
        numbers[i] *= 2

numbers = np.arange(5)
double(numbers)
double(numbers)
assert numbers.tolist() == [0, 4, 8, 12, 16], numbers
"""
FORK = """
import os, threading
import numpy as np, torch
torch.set_num_threads(1)
before = set(os.listdir("/proc/self/task"))
from engines.batched import kernels, rules, slots
started = set(os.listdir("/proc/self/task")) - before

def attend():
    keys = np.ones((1, 2, 64, 3), np.float32)
    out = np.zeros((1, 2, 64), np.float32)
    kernels.attend_places(
        out + 1, keys, keys.transpose(0, 1, 3, 2).copy(), np.array([0]), np.array([3]), out
    )
    return out

child = os.fork()
if not child:
    os._exit(0 if np.allclose(attend(), 1, atol=1e-5) else 1)
assert os.waitpid(child, 0)[1] == 0
assert not started, started
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(DOUBLE)
    return path


def run(*arguments, home, before=None, **variables):
    """A process of its own, with this home and without a cache folder from outside."""
    kept_out = {"NUMBA_CACHE_DIR", "XDG_CACHE_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in kept_out}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= variables
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        preexec_fn=before,
    )


def test_what_was_compiled_is_found_again_by_the_next_process(script, tmp_path):
    finished = [run(script, home=tmp_path).returncode for _ in range(2)]

    kept = list(script.parent.glob("__pycache__/script.double*.nbi"))
    assert finished == [0, 0]
    assert len(kept) == 1


def test_without_any_folder_to_write_every_process_compiles_for_itself(script, tmp_path):
    (tmp_path / "__pycache__").write_text("a file, where numba wants a folder")

    finished = run(script, home="/dev/null/nowhere")

    assert finished.returncode == 0, finished.stderr
    assert "loops_not_kept" in finished.stderr


def test_a_disk_that_is_full_when_the_code_is_kept_does_not_fail_the_call(script, tmp_path):
    def fill_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    finished = run(script, home=tmp_path, before=fill_disk)

    assert finished.returncode == 0, finished.stderr
    assert "loops_not_kept" in finished.stderr


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [b"", b"no machine code"], ids=["empty", "nonsense"])
def test_a_damaged_file_of_kept_code_does_not_fail_the_call(script, tmp_path, kind, damage):
    run(script, home=tmp_path)
    for kept in script.parent.glob(f"__pycache__/*.{kind}"):
        kept.write_bytes(damage)

    finished = run(script, home=tmp_path)

    assert finished.returncode == 0, finished.stderr
    assert "loops_not_kept" in finished.stderr


def test_an_error_of_the_loops_themselves_is_raised():
    @compile_loops()
    def fail(numbers):
        if len(numbers) > 1:
            raise ValueError("too many")

    with pytest.raises(ValueError, match="too many"):
        fail(np.arange(2))


def test_the_import_starts_no_thread_and_a_fork_after_it_computes(tmp_path):
    finished = run("-c", FORK, home=tmp_path)

    assert finished.returncode == 0, finished.stderr


def test_several_threads_may_call_where_numba_has_only_its_own_threads(script, tmp_path):
    script.write_text(
        DOUBLE
        + "import threading\n"
        + "many = lambda: [double(np.arange(100_000)) for _ in range(200)]\n"
        + "threads = [threading.Thread(target=many) for _ in range(4)]\n"
        + "[thread.start() for thread in threads]\n"
        + "[thread.join() for thread in threads]\n"
        + "assert numba.threading_layer() == 'workqueue'\n"
    )
    finished = run(script, home=tmp_path, NUMBA_THREADING_LAYER="workqueue")

    assert finished.returncode == 0, finished.stderr
