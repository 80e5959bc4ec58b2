import wave
from io import BytesIO
from pathlib import Path

import pytest

from audio.plain_wav import find_plain_sound
from benchmarks.core_cost import SHOWN_CHARS, is_frame, shorten
from benchmarks.core_cpu import spent
from benchmarks.core_recording import wav_of_a_second
from benchmarks.core_report import cpu_rows, median_rate, rate_cells
from benchmarks.core_submitter import share_out
from benchmarks.core_turn import Turn, merge


def turn(wall_s: float, **cpu_s: float) -> Turn:
    return Turn("this server", 100, wall_s, 1.0, cpu_s)


def test_a_rate_is_that_of_the_turn_in_the_middle():
    turns = [turn(1.0), turn(10.0), turn(2.0)]

    assert median_rate(turns) == 50
    assert rate_cells(turns) == ("3", "50", "10", "100")


def test_processor_time_is_told_per_job_and_added_up():
    rows = cpu_rows({"ours": [turn(1.0, submitters=0.1, postgres=0.3)]})

    assert rows == [("ours", "1.00", "0.00", "0.00", "0.00", "3.00", "0.00", "4.00")]


def test_submitters_are_one_part():
    merged = merge({"submitter 1": 1.0, "submitter 2": 2.0, "valkey": 4.0})

    assert merged == {"submitters": 3.0, "valkey": 4.0}


def test_a_part_that_came_later_has_spent_all_it_has():
    assert spent({"worker": 1.0}, {"worker": 1.5, "late": 2.0}) == {"worker": 0.5, "late": 2.0}


@pytest.mark.parametrize(("count", "parts"), [(10, 4), (3, 4), (0, 2), (8, 4)])
def test_shares_are_even_and_nothing_is_left_over(count: int, parts: int):
    shares = share_out(count, parts)

    assert (sum(shares), len(shares)) == (count, parts)
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BEGIN", True),
        ("COMMIT", True),
        ("SELECT $1", True),
        ("SET default_transaction_isolation TO DEFAULT", True),
        ("SELECT $1 FROM transcription_jobs", False),
        ("UPDATE transcription_jobs SET status=$1", False),
    ],
)
def test_what_the_driver_adds_is_told_from_what_we_ask(text: str, *, expected: bool):
    assert is_frame(text) is expected


def test_a_statement_is_shown_on_one_short_line():
    shown = shorten("SELECT\n    1,\n" + "x" * 200)

    assert shown.startswith("SELECT 1, x")
    assert len(shown) == SHOWN_CHARS


def test_the_recording_needs_no_decoder_and_is_a_second_of_sound(tmp_path: Path):
    path = tmp_path / "second.wav"
    path.write_bytes(wav_of_a_second())

    sound = find_plain_sound(path)

    assert sound is not None
    assert sound.duration_s == 1.0
    with wave.open(BytesIO(path.read_bytes())) as reader:
        assert any(reader.readframes(100))
