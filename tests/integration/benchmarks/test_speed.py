import json

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.errors import BenchmarkFailed
from benchmarks.recordings import server_ffmpeg
from benchmarks.speed_process import side_process
from benchmarks.whisper_process import plain_environment
from scripts.samples import sample_path
from tests.real_models import real_weights


def test_two_sides_hear_two_short_samples(tmp_path):
    real_weights("tiny")
    kept = tmp_path / "speed.json"
    options = [
        *("--model", "tiny", "--rounds", "1", "--short-files", "2", "--work", "short"),
        *("--sides", "ours", "--sides", "fw-batched", "--threads", "1", "--device", "cpu"),
        *("--json", str(kept), "--plot", str(tmp_path / "speed.svg")),
    ]

    result = CliRunner().invoke(cli, ["speed", *options])

    assert result.exit_code == 0, result.output
    written = json.loads(kept.read_text())
    assert [item["name"] for item in written["recordings"]["short"]] == ["jfk.wav", "jfk.mp3"]
    turns = written["turns"]["short"]
    assert list(turns) == ["ours", "fw-batched"]
    for (turn,) in turns.values():
        assert turn["counts"]["words"] == 44
        assert turn["counts"]["deletions"] < 5
        assert turn["wall_s"] > 0
    assert written["devices"] == {"ours": "cpu", "fw-batched": "cpu"}
    assert (tmp_path / "speed.svg").exists()


def test_a_side_that_meets_an_error_is_named(tmp_path):
    order = {
        "side": "whisper",
        "model_size": "tiny",
        "model_dir": str(real_weights("tiny").parent),
        "device": "cpu",
        "threads": 1,
        "batch_size": 8,
        "ffmpeg": str(server_ffmpeg()),
    }

    with side_process(order, plain_environment(tmp_path)) as side:
        with pytest.raises(BenchmarkFailed, match=r"^whisper: RuntimeError: .*nowhere\.wav"):
            side.transcribe_all([tmp_path / "nowhere.wav"], is_decoded=False)
        heard = side.transcribe_all([sample_path("jfk.wav")], is_decoded=False)

    assert "fellow Americans" in heard.texts[0]
