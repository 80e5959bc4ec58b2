"""The fake that kills its process, as a poison recording does."""

import json
import signal
import subprocess
import sys

from embedded.process import ROOT

DIE = """
import numpy as np
from domain.options import TranscriptionOptions
from engines.fake import FakeLoader

FakeLoader().load("tiny", "cpu").transcribe(
    np.full(40 * 16_000, 0.1, np.float32),
    TranscriptionOptions("tiny", initial_prompt="fake: dies"),
    on_progress=lambda share: print(share, flush=True),
    should_stop=lambda: False,
    on_window=lambda window: print(window.number, flush=True),
)
"""


def test_it_dies_with_its_process_after_the_first_window():
    ended = subprocess.run(
        [sys.executable, "-c", DIE],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == -signal.SIGKILL
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [0]
