import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks.__main__ import COMMANDS, cli
from benchmarks.report import write_json
from tests.source_tree import ROOT
from tests.unit.benchmarks.test_wer import MACHINE


def test_every_benchmark_and_option_is_documented():
    text = (ROOT / "docs" / "benchmarks.md").read_text()

    options = {word for command in COMMANDS for option in command.params for word in option.opts}
    names = {f"`{command.name}`" for command in COMMANDS} | {f"`{option}" for option in options}
    missing = sorted(name for name in names if name not in text)

    assert missing == []


def test_help_lists_every_benchmark():
    result = CliRunner().invoke(cli, ["--help"])

    assert result.exit_code == 0
    assert all(str(command.name) in result.output for command in COMMANDS)


def test_json_names_the_machine(tmp_path: Path):
    write_json(tmp_path / "out.json", MACHINE, {"figure": 1})

    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["figure"], written["machine"]["cores"]) == (1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_nothing_is_written_without_a_path(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    write_json(None, MACHINE, {"figure": 1})

    assert [*tmp_path.iterdir()] == []
