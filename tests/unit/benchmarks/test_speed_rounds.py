from pathlib import Path

import numpy as np
import pytest

from benchmarks.errors import BenchmarkFailed
from benchmarks.manifest import Recording
from benchmarks.speed_libraries import Heard, shrink_batch
from benchmarks.speed_libraries import take_turn as answer_one
from benchmarks.speed_process import Answer
from benchmarks.speed_rounds import Plan, count_all, measure_gain, run_round, take_turn
from benchmarks.speed_run import LONG, SHORT
from benchmarks.speed_sides import CONTENDERS, versions_of
from benchmarks.speed_work import Prepared
from tests.unit.benchmarks.speed_runs import run_of


class FakeSide:
    """Says the name of each file; takes a second per request and one per recording."""

    device = "cpu"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def transcribe_all(self, paths, *, is_decoded):
        self.asked.append([path.name for path in paths])
        wall_s = 1.0 + len(paths)
        return Answer([path.stem for path in paths], wall_s, 2 * wall_s, {"decode_s": wall_s})


def prepared(name: str, text: str = "") -> Prepared:
    recording = Recording(name, Path(f"{name}.flac"), "read", text, "en", 30.0)
    return Prepared(recording, Path(f"{name}.npy"), 30.0)


def test_long_recordings_are_requests_of_their_own_and_short_ones_one_request():
    side, items = FakeSide(), [prepared("a"), prepared("b")]
    plan = Plan({LONG: items, SHORT: items}, jobs=[], is_decoded=True)
    run = run_of()

    run_round(run, plan, {"whisper": side}, number=0)

    assert side.asked == [["a.npy"], ["b.npy"], ["a.npy", "b.npy"]]
    assert run.turns[LONG]["whisper"][0].wall_s == 4.0
    assert run.turns[SHORT]["whisper"][0].wall_s == 3.0


def test_only_batching_sides_of_ours_are_asked_for_the_gain():
    sides = {name: FakeSide() for name in CONTENDERS}
    run = run_of()

    run_round(run, Plan({}, [Path("j.npy")], is_decoded=True), sides, number=0)

    assert list(run.gains) == ["ours", "ours-8", "ours-4", "ours-2", "ours-ctranslate2"]


class ShrinkingEngine:
    def __init__(self, windows):
        self.windows = windows

    def shrink_batch(self, below):
        if self.windows >= below > 2:
            self.windows //= 2
        return self.windows < below


@pytest.mark.parametrize(("windows", "most", "left"), [(16, 4, 4), (64, 8, 8), (4, 8, 4)])
def test_an_engine_is_shrunk_to_at_most_so_many_windows(windows, most, left):
    engine = ShrinkingEngine(windows)

    for _ in range(2):
        shrink_batch(engine, most)

    assert engine.windows == left


def test_a_turn_adds_up_its_requests_and_counts_the_words():
    groups = [[prepared("hello", "Hello.")], [prepared("world", "Word!")]]

    turn = take_turn(FakeSide(), groups, is_decoded=False)

    assert (turn.audio_s, turn.wall_s, turn.cpu_s) == (60.0, 4.0, 8.0)
    assert turn.rtfx == 15.0
    assert turn.timings_s == {"decode_s": 4.0}
    assert (turn.counts.words, turn.counts.errors) == (2, 1)


def test_recordings_without_a_text_count_for_no_error_rate():
    with_text, without = prepared("a", "a").recording, prepared("b").recording

    assert count_all([with_text, without], ["a", "anything"]).words == 1
    assert count_all([without], ["anything"]) is None


@pytest.mark.parametrize("together_first", [True, False])
def test_the_gain_compares_one_by_one_with_all_at_once(together_first: bool):  # noqa: FBT001
    side, jobs = FakeSide(), [Path("a.npy"), Path("b.npy")]

    gain = measure_gain(side, jobs, together_first=together_first)

    assert (gain.jobs, gain.audio_s) == (2, 40.0)
    assert (gain.apart_s, gain.together_s, gain.differing) == (4.0, 3.0, 0)
    assert (side.asked[0] == ["a.npy", "b.npy"]) == together_first


class EchoSide:
    device = "cpu"

    def transcribe_all(self, recordings):
        return [Heard(str(len(recording)), {"decode_s": 1.0}) for recording in recordings]


def test_a_side_gets_samples_and_its_stages_are_added_up(tmp_path: Path):
    for name, length in (("a.npy", 3), ("b.npy", 5)):
        np.save(tmp_path / name, np.zeros(length, np.float32))
    paths = [str(tmp_path / name) for name in ("a.npy", "b.npy")]

    said = answer_one(EchoSide(), paths, is_decoded=True)

    assert said["texts"] == ["3", "5"]
    assert said["timings_s"] == {"decode_s": 2.0}


def test_an_error_is_the_answer_of_its_side():
    said = answer_one(EchoSide(), ["nowhere.wav"], is_decoded=False)

    assert said["error"].startswith("TypeError: ")


def test_peers_that_are_not_installed_are_named(monkeypatch):
    monkeypatch.setattr("benchmarks.speed_sides.find_spec", lambda _: None)

    assert versions_of([CONTENDERS["ours"], CONTENDERS["whisper"]]) == {}
    with pytest.raises(BenchmarkFailed, match="make faster-whisper"):
        versions_of([CONTENDERS["ours-ctranslate2"]])
