"""What several processes of one machine share: cores, and the pages of the weights."""

import os
import signal
import subprocess
import sys

from embedded.process import ROOT
from engines.cpu_share import CpuShare
from tests.real_models import real_loader

HOLD_A_PLACE = """
import sys
from pathlib import Path
from engines.cpu_share import CpuShare
with CpuShare(Path(sys.argv[1]), cores=8).busy():
    print("busy", flush=True)
    sys.stdin.read()
"""
LOAD_TINY = """
import os
import numpy as np
from domain.options import TranscriptionOptions
from tests.real_models import real_loader

def private_mb():
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if "Private_Dirty" in line)

loader = real_loader("tiny")
before = private_mb()
engine = loader.load("tiny", "cpu")
print(private_mb() - before)
"""


def run_python(code, *arguments, **streams):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        **streams,
    )


def test_cores_are_shared_with_another_process_until_it_is_killed(tmp_path):
    places = tmp_path / "places"
    share = CpuShare(places, cores=8)
    other = run_python(HOLD_A_PLACE, places, stdin=subprocess.PIPE)
    assert other.stdout.readline() == "busy\n"

    with share.busy():
        together = share.threads()
        os.kill(other.pid, signal.SIGKILL)
        other.communicate()
        alone = share.threads()

    assert (together, alone) == (4, 8)


def test_a_process_adds_little_memory_of_its_own_for_the_weights():
    real_loader("tiny").load("tiny", "cpu")  # converts the weights if nobody has yet

    output, _ = run_python(LOAD_TINY).communicate(timeout=60)

    assert float(output) < 60  # MB; the weights are 142
