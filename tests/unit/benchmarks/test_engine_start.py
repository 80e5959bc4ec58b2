import json
from pathlib import Path

import pytest

from benchmarks.engine_start import Run, Start, rows
from benchmarks.engine_start_script import Steps
from tests.unit.benchmarks.test_wer import MACHINE


def start_of(torch_s: float, window_s: float) -> Start:
    steps_s = {"python": 0.1, "torch": torch_s, "first window": window_s, "second window": 5.0}
    cpu_s = {name: 2 * seconds for name, seconds in steps_s.items()}
    return Start(steps_s, cpu_s, {"encode_s": 0.5, "rest_s": 0.2}, {"encode_s": 0.1, "rest_s": 0.0})


def test_importing_torch_and_the_second_window_do_not_count():
    start = start_of(torch_s=2.0, window_s=1.0)

    assert start.total_s == pytest.approx(3.1)
    assert start.beyond_torch_s == pytest.approx(1.1)
    assert start.beyond_torch_cpu_s == pytest.approx(2.2)


def test_the_median_is_of_each_starts_own_sum(tmp_path: Path):
    run = Run(MACHINE, "tiny", tmp_path / "start.json")

    for start in (start_of(2.0, 1.0), start_of(9.0, 1.2), start_of(1.0, 3.0)):
        run.add(start)

    written = json.loads((tmp_path / "start.json").read_text())
    assert written["median_beyond_torch_s"] == pytest.approx(1.3)
    assert len(written["starts"]) == 3


def test_the_first_window_stands_beside_the_same_once_more():
    table = {row[0].strip(): row[1:] for row in rows([start_of(2.0, 1.0)])}

    assert table["first window"] == ("1.000", "1.000", "1.000", "2.000", "5.000")
    assert table["packing the weights"] == ("0.200", "0.200", "0.200", "", "0.000")
    assert table["all beyond torch"] == ("1.100", "1.100", "1.100", "2.200", "")
    assert "second window" not in table


def test_a_step_counts_from_the_one_before():
    steps = Steps(began_s=0.0)

    steps.done("python")
    steps.done("nothing")

    assert steps.seconds["python"] > steps.seconds["nothing"] >= 0
