import json

from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.agreement import NEAR_TIE
from tests.real_models import real_weights


def test_a_start_is_told_step_by_step(tmp_path):
    real_weights("tiny")
    kept = tmp_path / "start.json"

    result = CliRunner().invoke(
        cli, ["engine-start", "--model", "tiny", "--starts", "1", "--json", str(kept)]
    )

    assert result.exit_code == 0, result.output
    (start,) = json.loads(kept.read_text())["starts"]
    assert [*start["steps_s"]] == [
        *("python", "settings", "torch", "numba", "tiktoken", "whisper"),
        *("engine modules", "weights", "recording", "first window", "second window"),
    ]
    assert min(start["steps_s"].values()) > 0
    assert start["first_s"]["encode_s"] > 0
    assert "packing the weights" in result.output


def test_the_memory_of_an_engine_is_told_by_windows_side_by_side(tmp_path):
    real_weights("tiny")
    kept = tmp_path / "memory.json"
    options = ["--part", "engine", "--engine-model", "tiny", "--batches", "1,2"]

    result = CliRunner().invoke(cli, ["memory", *options, "--json", str(kept)])

    assert result.exit_code == 0, result.output
    (engine,) = json.loads(kept.read_text())["engines"]
    assert engine["model_size"] == "tiny"
    assert 0 < engine["loaded"]["rss_mib"] < engine["peak_rss_mib"]["1"]
    assert engine["peak_rss_mib"]["1"] <= engine["peak_rss_mib"]["2"]


def test_in_float32_the_decoder_agrees_with_whisper_on_the_projects_recordings(tmp_path):
    real_weights("tiny")
    kept = tmp_path / "agreement.json"

    result = CliRunner().invoke(cli, ["agreement", "--model", "tiny", "--json", str(kept)])

    assert result.exit_code == 0, result.output
    rows = json.loads(kept.read_text())["rows"]
    plain = [row for row in rows if row["precision"].startswith("float32 in float32")]
    assert sum(row["windows"] for row in plain) >= len(plain) > 0
    for row in plain:
        assert row["same_tokens"] <= row["tokens"]
        assert len(row["gaps"]) == row["windows"] - row["same_windows"]
        assert all(abs(gap) < NEAR_TIE for gap in row["gaps"])
