"""The fastest types are found out once, and nothing depends on the file that keeps them."""

import json
import logging
from dataclasses import replace

import numba
import pytest
import torch

from engines.batched import precision
from engines.batched.attention import IN_BLOCKS
from engines.batched.precision import CANDIDATES, NARROW, PLAIN, Precision, fastest_precision

INT8_IN_PLAIN = Precision(torch.float32, torch.int8)
INT8_IN_NARROW = Precision(torch.bfloat16, torch.int8)
NARROW_IN_BLOCKS = replace(NARROW, attention=IN_BLOCKS)
# Seconds of a large product and of a small one.
SLOW, FAST, FASTEST = (0.010, 0.0010), (0.004, 0.0004), (0.003, 0.0003)
NARROW_IS_FASTER = {PLAIN: SLOW, NARROW: FAST, INT8_IN_NARROW: FAST, NARROW_IN_BLOCKS: FAST}
NOTHING_IS_FASTER = dict.fromkeys(CANDIDATES, SLOW)


@pytest.fixture
def measured(monkeypatch):
    """What was tried; the times are those of `times_s`."""

    class Clock:
        times_s = NARROW_IS_FASTER

        def __init__(self):
            self.tried = []

        def measure(self, candidates):
            self.tried.append(tuple(candidates))
            return {one: self.times_s.get(one, SLOW) for one in candidates}

    clock = Clock()
    monkeypatch.setattr(precision, "_measure_s", clock.measure)
    monkeypatch.setattr(precision, "_processor", lambda: "a processor")
    monkeypatch.setattr(precision, "has_int8", lambda: True)
    return clock


@pytest.fixture
def notes(tmp_path):
    return tmp_path / "mapped" / "precision.json"


@pytest.mark.parametrize(
    ("times_s", "expected"),
    [
        (NOTHING_IS_FASTER, PLAIN),
        (NARROW_IS_FASTER, NARROW),
        ({PLAIN: SLOW, NARROW: (0.009, 0.0004), INT8_IN_PLAIN: SLOW}, PLAIN),
        ({PLAIN: SLOW, NARROW: FAST, INT8_IN_NARROW: FASTEST}, INT8_IN_NARROW),
        ({PLAIN: SLOW, NARROW: FAST, INT8_IN_NARROW: (0.0038, 0.0002)}, NARROW),
        ({PLAIN: SLOW, NARROW: FAST, INT8_IN_NARROW: (0.0020, 0.0005)}, NARROW),
        ({PLAIN: SLOW, NARROW: SLOW, INT8_IN_PLAIN: FAST}, INT8_IN_PLAIN),
        ({PLAIN: SLOW, NARROW: FAST, NARROW_IN_BLOCKS: FASTEST}, NARROW_IN_BLOCKS),
        ({PLAIN: SLOW, NARROW: FAST, NARROW_IN_BLOCKS: (0.0038, 0.00038)}, NARROW),
    ],
    ids=[
        "equal", "bfloat16", "bfloat16 in small products", "int8 beside bfloat16", "int8 hardly",
        "int8 in small products slower", "int8 beside float32",
        "attention in blocks", "attention in blocks hardly",
    ],
)  # fmt: skip
def test_what_rounds_is_taken_where_every_product_is_clearly_faster(
    measured, notes, times_s, expected
):
    measured.times_s = times_s

    chosen = fastest_precision(notes)

    assert chosen == expected


def test_where_there_is_no_int8_it_is_not_tried(measured, notes, monkeypatch):
    monkeypatch.setattr(precision, "has_int8", lambda: False)

    chosen = fastest_precision(notes)

    assert chosen == NARROW
    assert measured.tried == [(PLAIN, NARROW), (NARROW, NARROW_IN_BLOCKS)]


def test_it_is_measured_once_and_kept(measured, notes):
    first = fastest_precision(notes)
    measured.times_s = NOTHING_IS_FASTER

    again = fastest_precision(notes)

    assert (first, again) == (NARROW, NARROW)
    assert measured.tried == [(PLAIN, NARROW), (NARROW, INT8_IN_NARROW), (NARROW, NARROW_IN_BLOCKS)]
    assert [path.name for path in notes.parent.iterdir()] == ["precision.json"]


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_every_candidate_is_read_back_as_it_was_kept(measured, notes, candidate):
    fastest_precision(notes)
    (key,) = json.loads(notes.read_text())
    notes.write_text(json.dumps({key: candidate.name}))

    assert fastest_precision(notes) == candidate


def test_another_processor_and_another_torch_measure_for_themselves(measured, notes, monkeypatch):
    fastest_precision(notes)
    measured.times_s = NOTHING_IS_FASTER

    monkeypatch.setattr(precision, "_processor", lambda: "another processor")
    elsewhere = fastest_precision(notes)
    monkeypatch.setattr(torch, "__version__", "99.0")
    later = fastest_precision(notes)

    assert (elsewhere, later) == (PLAIN, PLAIN)
    assert list(json.loads(notes.read_text()).values()) == [NARROW.name, PLAIN.name, PLAIN.name]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[1]", b'"text"', b"null", b"{}"],
    ids=["empty", "torn", "no text", "a list", "a string", "null", "no notes"],
)
def test_notes_that_nobody_can_read_are_written_anew(measured, notes, content):
    notes.parent.mkdir()
    notes.write_bytes(content)

    chosen = fastest_precision(notes)

    assert chosen == NARROW
    assert list(json.loads(notes.read_text()).values()) == [NARROW.name]


@pytest.mark.parametrize(
    "noted", ["bfloat16 in bfloat16", "float64 in float64", "bfloat16", 16, None, [NARROW.name]]
)
def test_what_is_none_of_the_candidates_is_measured_anew(measured, notes, noted):
    fastest_precision(notes)
    (key,) = json.loads(notes.read_text())
    notes.write_text(json.dumps({key: noted}))

    assert fastest_precision(notes) == NARROW
    assert len(measured.tried) == 6


@pytest.mark.parametrize("obstacle", ["a file for a folder", "a folder for the file"])
def test_notes_that_cannot_be_written_cost_a_measurement_each_time(
    measured, notes, obstacle, caplog
):
    if obstacle == "a file for a folder":
        notes.parent.write_text("in the way")
    else:
        (notes / "in the way").mkdir(parents=True)

    with caplog.at_level(logging.WARNING):
        chosen = [fastest_precision(notes) for _ in range(2)]

    assert chosen == [NARROW, NARROW]
    assert len(measured.tried) == 6
    assert [record.message for record in caplog.records] == ["precision_not_kept"] * 2
    assert not list(notes.parent.glob(".precision*"))


def test_the_real_measurement_answers_on_this_machine_and_leaves_the_threads_as_they_were(
    notes, threads
):
    threads(2)
    before = torch.get_num_threads(), numba.get_num_threads()

    chosen = fastest_precision(notes)

    assert chosen in CANDIDATES
    (key,) = json.loads(notes.read_text())
    assert torch.__version__ in key
    assert (torch.get_num_threads(), numba.get_num_threads()) == before
