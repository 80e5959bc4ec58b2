import json
import wave
from pathlib import Path

import numpy as np
import pytest

from benchmarks.errors import BenchmarkFailed
from benchmarks.submit import Finished
from benchmarks.together import Run, checked, gain_row, write_wav
from client.contract import Job
from tests.unit.benchmarks.speed_runs import gain_of
from tests.unit.benchmarks.test_wer import MACHINE


def test_every_round_is_kept_by_number_of_children(tmp_path: Path):
    run = Run(MACHINE, {"model": "tiny"}, tmp_path / "together.json")

    for concurrency, together_s in ((2, 20.0), (2, 10.0), (2, 16.0), (16, 8.0)):
        run.add(concurrency, gain_of(40.0, together_s))

    written = json.loads((tmp_path / "together.json").read_text())
    assert written["median_ratio"] == {"2": 2.5, "16": 5.0}
    assert [gain["ratio"] for gain in written["rounds"]["2"]] == [2.0, 4.0, 2.5]


def test_a_line_shows_the_round_in_the_middle_and_the_range():
    gains = [gain_of(40.0, 20.0), gain_of(40.0, 10.0, differing=1), gain_of(40.0, 16.0)]

    assert gain_row(8, gains) == ("8", "40.00", "16.00", "2.50", "2.00", "4.00", "1")


def test_a_job_without_a_transcript_ends_the_run():
    failed = Finished(Job("1", "failed", error_code="audio_unreadable"), 1.0)

    with pytest.raises(BenchmarkFailed, match="a job is failed: audio_unreadable"):
        checked([Finished(Job("2", "completed"), 1.0), failed])


def test_samples_beyond_full_scale_are_cut_and_not_wrapped(tmp_path: Path):
    write_wav(tmp_path / "loud.wav", np.array([0.0, 2.0, -2.0], dtype=np.float32))

    with wave.open(str(tmp_path / "loud.wav")) as stream:
        written = np.frombuffer(stream.readframes(3), "<i2")
        assert (stream.getframerate(), stream.getnchannels()) == (16_000, 1)
    assert written.tolist() == [0, 32767, -32767]
