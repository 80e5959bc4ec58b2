import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.overhead import Round, Run
from tests.unit.benchmarks.test_wer import MACHINE


def round_of(server_s: float, alone_s: float) -> Round:
    return Round(600.0, server_s, alone_s, 2 * server_s, alone_s, {"transcribe_s": 1.0}, 0)


def test_the_median_is_of_the_ratios_and_not_of_the_times(tmp_path: Path):
    run = Run(MACHINE, "tiny", "engine", {}, tmp_path / "overhead.json")

    for measured in (round_of(10, 10), round_of(44, 40), round_of(90, 30)):
        run.add(measured)

    written = json.loads((tmp_path / "overhead.json").read_text())
    assert written["against"] == "engine"
    assert run.median_ratio == pytest.approx(1.1)
    assert written["median_ratio"] == run.median_ratio
    assert [item["cpu_ratio"] for item in written["rounds"]] == pytest.approx([2.0, 2.2, 6.0])


def test_an_option_of_openai_whisper_is_refused_for_our_engine():
    result = CliRunner().invoke(cli, ["overhead", "--best-of", "5"])

    assert result.exit_code == 2
    assert "--against whisper" in result.output
