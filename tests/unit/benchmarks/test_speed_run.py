import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.speed_plot import LOOKS, draw
from benchmarks.speed_report import (
    GAIN_COLUMNS,
    gain_row,
    markdown_lines,
    report,
    row_of,
    wanted_percent,
)
from benchmarks.speed_run import GAIN, LONG, Run
from benchmarks.speed_sides import CONTENDERS
from tests.unit.benchmarks.speed_runs import gain_of, run_of, turn_of


def test_the_file_tells_every_turn_and_what_they_come_to(tmp_path: Path):
    path = tmp_path / "speed.json"

    run_of(path, ours=[turn_of(1), turn_of(2)], whisper=[turn_of(4), turn_of(8, errors=3)])

    written = json.loads(path.read_text())
    assert written["machine"]["cores"] == 2
    assert written["versions"] == {"ctranslate2": "4.8.5"}
    assert written["summary"][LONG]["whisper"]["ratio"] == 4.0
    assert written["summary"][LONG]["whisper"]["wer_percent"] == 1.5
    assert [turn["wall_s"] for turn in written["turns"][LONG]["ours"]] == [1, 2]


def test_a_run_is_the_same_when_it_is_read_again(tmp_path: Path):
    path = tmp_path / "speed.json"
    run = run_of(path, ours=[turn_of(1)], whisper=[replace(turn_of(4), counts=None)])
    run.add_gain("ours", gain_of(10, 8, differing=1))

    again = Run.read(path)

    assert replace(again, json_path=path) == run


def test_the_gain_stands_in_the_file(tmp_path: Path):
    run = run_of(tmp_path / "speed.json", ours=[turn_of(1)])

    for gain in (gain_of(10, 10), gain_of(12, 6), gain_of(90, 30)):
        run.add_gain("ours", gain)

    written = json.loads((tmp_path / "speed.json").read_text())
    assert written["summary"][GAIN] == {"ours": 2.0}
    assert len(written["gains"]["ours"]) == 3


def test_sides_are_compared_with_the_first_one_whoever_began():
    run = run_of(whisper=[turn_of(4)], ours=[turn_of(1)])

    found = run.standings(LONG)

    assert list(found) == ["ours", "whisper"]
    assert found["whisper"].ratio == 4.0


def test_a_line_tells_speed_errors_and_what_is_wanted():
    run = run_of(ours=[turn_of(1)], whisper=[turn_of(4, errors=7)])

    line = row_of("whisper", run.standings(LONG)["whisper"], run)

    assert line == ("openai-whisper", "15.0", "15.0", "15.0", "7.00", "2.0", "4.00", "3.0")


def test_nothing_is_wanted_where_ours_did_not_take_part():
    run = run_of(whisper=[turn_of(4)], fw_batched=[turn_of(1)])

    line = row_of("fw-batched", run.standings(LONG)["fw-batched"], run)

    assert line[-1] == ""


def test_unknown_words_are_a_dash():
    run = run_of(ours=[replace(turn_of(1), counts=None)])

    assert row_of("ours", run.standings(LONG)["ours"], run)[4] == "-"


def test_the_wanted_error_rate_is_that_of_the_better_careful_side():
    run = run_of(
        ours=[turn_of(1, errors=5)],
        whisper=[turn_of(1, errors=9)],
        fw_sequential=[turn_of(1, errors=8)],
        fw_batched=[turn_of(1, errors=2)],
    )

    assert wanted_percent(run.standings(LONG)) == 8.0
    assert wanted_percent({}) is None


def test_a_line_of_the_gain_is_the_round_in_the_middle():
    gains = [gain_of(30, 10), gain_of(10, 10), gain_of(20, 10, differing=2)]

    assert gain_row("ours", gains) == ("ours", "20.00", "10.00", "2.00", "1.00", "3.00", "2")
    assert len(GAIN_COLUMNS) == 7


def test_a_table_can_be_pasted_into_a_page():
    assert markdown_lines("Speed", ("side", "RTFx"), [("ours", "12.0")]) == [
        "Speed:", "", "| side | RTFx |", "| --- | --- |", "| ours | 12.0 |", "",
    ]  # fmt: skip


@pytest.mark.parametrize("as_markdown", [True, False])
def test_every_work_has_a_table(capsys, as_markdown: bool):  # noqa: FBT001 - pytest's
    run = run_of(ours=[turn_of(1)], whisper=[turn_of(4)])
    run.add_gain("ours", gain_of(10, 8))

    report(run, as_markdown=as_markdown)

    told = capsys.readouterr().out
    assert "1 long, one at a time, 60 s" in told
    assert "16 jobs of 20 s" in told
    assert ("| --- |" in told) == as_markdown


def test_every_side_has_its_own_sign():
    assert set(LOOKS) == set(CONTENDERS)
    assert len(set(LOOKS.values())) == len(CONTENDERS)


@pytest.mark.parametrize("counts", [None, turn_of(1, errors=3).counts])
def test_the_same_picture_twice_is_the_same_file(tmp_path: Path, counts):
    turns = {name.replace("-", "_"): [replace(turn_of(2), counts=counts)] for name in CONTENDERS}

    for name in ("one.svg", "other.svg"):
        draw(run_of(**turns), tmp_path / name)

    assert (tmp_path / "one.svg").read_text().rstrip().endswith("</svg>")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


def test_a_kept_run_is_shown_and_drawn_without_measuring(tmp_path: Path):
    kept = tmp_path / "speed.json"
    run_of(kept, ours=[turn_of(1)], whisper=[turn_of(4)])
    picture = tmp_path / "images" / "speed.svg"

    result = CliRunner().invoke(
        cli, ["speed", "--show", str(kept), "--markdown", "--plot", str(picture)]
    )

    assert result.exit_code == 0, result.output
    assert "| openai-whisper | 15.0 |" in result.output
    assert picture.exists()
