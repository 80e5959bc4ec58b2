from pathlib import Path

import numpy as np
import pytest

from benchmarks.errors import BenchmarkFailed
from benchmarks.manifest import Recording
from benchmarks.speed_work import cut_jobs, long_ones, of_kinds, prepare, prepare_jobs, short_ones
from engines.base import SAMPLE_RATE_HZ
from tests.wav_files import PLAIN, SECONDS


def recording(name: str, seconds: float = 5.0, kind: str = "read") -> Recording:
    return Recording(name, Path(name), kind, "words", "en", seconds)


def wav_file(folder: Path, name: str, content: bytes = PLAIN["nothing_but_sound"]) -> Recording:
    (folder / name).write_bytes(content)
    return Recording(name, folder / name, "read", "words", "en", SECONDS)


def names(recordings) -> list[str]:
    return [recording.name for recording in recordings]


def test_long_ones_are_of_a_minute_and_more():
    found = long_ones([recording("a", 59.9), recording("b", 60), recording("c", 900)])

    assert names(found) == ["b", "c"]


def test_short_ones_fit_into_a_window_and_come_round_again():
    found = short_ones([recording("a", 30), recording("b", 44), recording("c", 3)], 5)

    assert names(found) == ["a", "c", "a", "c", "a"]


def test_no_more_short_ones_are_taken_than_asked_for():
    found = short_ones([recording("a"), recording("b"), recording("c")], 2)

    assert names(found) == ["a", "b"]


@pytest.mark.parametrize("choose", [long_ones, lambda those: short_ones(those, 4)])
def test_a_work_without_recordings_is_refused(choose):
    with pytest.raises(BenchmarkFailed, match="was chosen"):
        choose([recording("between", 44)])


def test_kinds_are_chosen_by_name():
    those = [recording("a", kind="long"), recording("b", kind="read"), recording("c", kind="bench")]

    assert names(of_kinds(those, ["bench", "long"])) == ["a", "c"]
    assert names(of_kinds(those, [])) == ["a", "b", "c"]


def test_a_kind_that_no_recording_has_is_refused():
    with pytest.raises(BenchmarkFailed, match="noisy"):
        of_kinds([recording("a")], ["read", "noisy"])


def test_every_recording_is_decoded_once_and_keeps_its_place(tmp_path: Path):
    first, second = wav_file(tmp_path, "a.wav"), wav_file(tmp_path, "b.wav", PLAIN["full_scale"])

    prepared = prepare([first, second, first], tmp_path / "samples")

    assert [item.recording.name for item in prepared] == ["a.wav", "b.wav", "a.wav"]
    assert prepared[0].samples_path == prepared[2].samples_path
    assert len([*(tmp_path / "samples").iterdir()]) == 2
    assert prepared[0].audio_s == SECONDS
    assert np.load(prepared[0].samples_path).dtype == np.float32


def test_sides_get_samples_or_the_file(tmp_path: Path):
    item = prepare([wav_file(tmp_path, "a.wav")], tmp_path / "samples")[0]

    assert item.path(is_decoded=True) == item.samples_path
    assert item.path(is_decoded=False) == tmp_path / "a.wav"


def test_what_is_no_recording_is_named(tmp_path: Path):
    text = wav_file(tmp_path, "text.wav", b"not a recording at all")

    with pytest.raises(BenchmarkFailed, match=r"text\.wav"):
        prepare([text], tmp_path / "samples")


def test_jobs_follow_one_another_and_begin_again_at_the_end():
    samples = np.arange(5 * SAMPLE_RATE_HZ, dtype=np.float32)

    jobs = cut_jobs(samples, count=3, seconds=2)

    assert [len(job) for job in jobs] == [2 * SAMPLE_RATE_HZ] * 3
    assert [job[0] for job in jobs] == [0, 2 * SAMPLE_RATE_HZ, 4 * SAMPLE_RATE_HZ]
    assert jobs[2][SAMPLE_RATE_HZ] == 0


def test_every_job_is_written_for_the_sides(tmp_path: Path):
    source = prepare([wav_file(tmp_path, "a.wav")], tmp_path / "samples")[0]

    paths = prepare_jobs(source, tmp_path)

    assert [len(np.load(path)) for path in paths] == [20 * SAMPLE_RATE_HZ] * 16
