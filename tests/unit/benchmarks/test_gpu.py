"""The script for GPUs, tried out from one end to the other on tiny shapes."""

import json

import pytest
import torch
from click.testing import CliRunner

from benchmarks.errors import BenchmarkFailed
from benchmarks.gpu import gpu
from benchmarks.gpu_report import rate_rows
from benchmarks.gpu_run import GpuRun, table

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path):
    return GpuRun(CPU, 60.0, tmp_path / "out.json", rounds=2)


def test_the_whole_script_runs_on_a_cpu_and_passes_its_own_checks(tmp_path):
    path = tmp_path / "out.json"

    result = CliRunner().invoke(
        gpu, ["--device", "cpu", "--small", "--rounds", "1", "--json", str(path)]
    )

    assert result.exit_code == 0, result.output
    written = json.loads(path.read_text())
    # Peers need not be installed; nothing else may fail.
    assert {name.rpartition(" ")[0] for name in written["errors"]} <= {
        "transformers, sdpa",
        "ctranslate2",
    }
    results = written["results"]
    assert [results[f"networks {model}"]["passed"] for model in ("turbo", "large-v3")] == [True] * 2
    assert results["cpu path"]["float32"]["same_beginning"] == 1
    [headline] = results["ours turbo"]
    assert headline["tokens"] == [6]
    assert headline["rtfx"] > 0
    assert [row["tokens"] for row in results["openai-whisper turbo"]] == [[6]]
    assert "| turbo | openai-whisper | 2 |" in result.output


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    result = CliRunner().invoke(gpu, [])

    assert isinstance(result.exception, BenchmarkFailed)
    assert "no GPU answers" in str(result.exception)


def test_a_part_that_fails_loses_only_itself(run):
    def fail():
        raise ValueError("a peer's trouble")

    run.part("first", lambda: {"figure": 1})
    run.part("second", fail)
    run.part("third", lambda: {"figure": 3})

    written = json.loads(run.json_path.read_text())
    assert written["results"] == {"first": {"figure": 1}, "third": {"figure": 3}}
    assert written["errors"] == {"second": "ValueError: a peer's trouble"}
    assert written["machine"]["device"] == "cpu"


def test_no_part_begins_without_time_for_it(run):
    called = []

    run.part("long", lambda: called.append("long"), needs_s=61.0)
    run.part("short", lambda: called.append("short"), needs_s=1.0)

    assert called == ["short"]
    assert run.skipped == ["long"]


def test_rounds_are_timed_after_one_that_is_not_counted(run):
    calls = []

    times_s = run.timed(lambda: calls.append(1))

    assert (len(times_s), len(calls)) == (2, 3)


def test_every_side_stands_beside_how_much_faster_ours_is():
    def row(side, batch, rtfx):
        return {"side": side, "batch": batch, "rtfx": rtfx, "rtfx_low": rtfx, "rtfx_high": rtfx}

    results = {
        "operations": {"used": "TorchOperations"},
        "ours turbo": [row("ours", 64, 500.0), row("ours", 1, 50.0)],
        "ctranslate2 turbo": [row("ctranslate2", 64, 100.0)],
    }

    rows = rate_rows(results)

    assert [(each[1], each[2], each[6]) for each in rows] == [
        ("ours", 64, None),
        ("ctranslate2", 64, 5.0),
        ("ours", 1, None),
    ]


def test_a_table_is_written_as_the_documentation_has_them():
    written = table(
        "Rates", ("side", "RTFx", "gap"), [("ours", 1234.5, None), ("peer", 0.51234, 7)]
    )

    assert written.splitlines()[-4:] == [
        "| side | RTFx | gap |",
        "|---|---|---|",
        "| ours | 1,234 | - |",
        "| peer | 0.512 | 7 |",
    ]
