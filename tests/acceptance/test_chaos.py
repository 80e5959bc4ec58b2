"""No job is lost and none is done twice, whatever is killed, frozen, emptied or said twice.

The short form of `make chaos`: eleven kinds of faults on a server of its own, docs/chaos.md.
"""

import json
import os
import subprocess
import sys
from signal import SIGTERM

from chaos.faults import FaultKind
from embedded.process import ROOT, die_with_parent
from tests.setting_names import without_settings

TIMEOUT_S = 540
SHOWN_CHARACTERS = 20_000


def test_every_promise_holds_while_everything_is_attacked(tmp_path):
    finished = subprocess.run(
        [sys.executable, "-m", "chaos", "--short", "--out", str(tmp_path)],
        cwd=ROOT,
        env=without_settings(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        preexec_fn=die_with_parent(SIGTERM),
    )

    # The printout names the seed, every fault and what each check found.
    assert finished.returncode == 0, finished.stdout[-SHOWN_CHARACTERS:]
    report = json.loads((tmp_path / "report.json").read_text())
    assert {fault["kind"] for fault in report["faults"]} == {*FaultKind}
    assert all(check["is_ok"] for check in report["checks"])
    assert len(report["jobs"]) >= 30
    assert (tmp_path / "timeline.svg").exists()
