"""The faster type is found out once, and nothing depends on the file that keeps it."""

import json
import logging

import pytest
import torch

from engines.batched import precision
from engines.batched.precision import fastest_dtype

FASTER = {torch.float32: 0.010, torch.bfloat16: 0.004}  # seconds of a product
HARDLY_FASTER = {torch.float32: 0.010, torch.bfloat16: 0.009}


@pytest.fixture
def measured(monkeypatch):
    """The types that were tried; the times are those of `times_s`."""

    class Clock:
        times_s = FASTER

        def __init__(self):
            self.tried = []

        def measure(self, dtype):
            self.tried.append(dtype)
            return self.times_s[dtype]

    clock = Clock()
    monkeypatch.setattr(precision, "_measure_s", clock.measure)
    monkeypatch.setattr(precision, "_processor", lambda: "a processor")
    return clock


@pytest.fixture
def notes(tmp_path):
    return tmp_path / "mapped" / "precision.json"


def test_bfloat16_is_taken_where_it_is_much_faster_and_float32_elsewhere(measured, tmp_path):
    chosen = []
    for number, times_s in enumerate((FASTER, HARDLY_FASTER)):
        measured.times_s = times_s
        chosen.append(fastest_dtype(tmp_path / f"{number}.json"))

    assert chosen == [torch.bfloat16, torch.float32]


def test_it_is_measured_once_and_kept(measured, notes):
    first = fastest_dtype(notes)
    measured.times_s = HARDLY_FASTER

    again = fastest_dtype(notes)

    assert (first, again) == (torch.bfloat16, torch.bfloat16)
    assert measured.tried == [torch.float32, torch.bfloat16]
    assert [path.name for path in notes.parent.iterdir()] == ["precision.json"]


def test_another_processor_and_another_torch_measure_for_themselves(measured, notes, monkeypatch):
    fastest_dtype(notes)
    measured.times_s = HARDLY_FASTER

    monkeypatch.setattr(precision, "_processor", lambda: "another processor")
    elsewhere = fastest_dtype(notes)
    monkeypatch.setattr(torch, "__version__", "99.0")
    later = fastest_dtype(notes)

    assert (elsewhere, later) == (torch.float32, torch.float32)
    assert list(json.loads(notes.read_text()).values()) == ["bfloat16", "float32", "float32"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[1]", b'"text"', b"null", b"{}"],
    ids=["empty", "torn", "no text", "a list", "a string", "null", "no notes"],
)
def test_notes_that_nobody_can_read_are_written_anew(measured, notes, content):
    notes.parent.mkdir()
    notes.write_bytes(content)

    chosen = fastest_dtype(notes)

    assert chosen == torch.bfloat16
    assert list(json.loads(notes.read_text()).values()) == ["bfloat16"]


@pytest.mark.parametrize("noted", ["float64", 16, None, ["bfloat16"]])
def test_a_type_that_is_none_of_the_candidates_is_measured_anew(measured, notes, noted):
    fastest_dtype(notes)
    (key,) = json.loads(notes.read_text())
    notes.write_text(json.dumps({key: noted}))

    assert fastest_dtype(notes) == torch.bfloat16
    assert len(measured.tried) == 4


@pytest.mark.parametrize("obstacle", ["a file for a folder", "a folder for the file"])
def test_notes_that_cannot_be_written_cost_a_measurement_each_time(
    measured, notes, obstacle, caplog
):
    if obstacle == "a file for a folder":
        notes.parent.write_text("in the way")
    else:
        (notes / "in the way").mkdir(parents=True)

    with caplog.at_level(logging.WARNING):
        chosen = [fastest_dtype(notes) for _ in range(2)]

    assert chosen == [torch.bfloat16, torch.bfloat16]
    assert len(measured.tried) == 4
    assert [record.message for record in caplog.records] == ["precision_not_kept"] * 2
    assert not list(notes.parent.glob(".precision*"))


def test_the_real_measurement_answers_on_this_machine(notes):
    assert fastest_dtype(notes) in precision.CANDIDATES
    (key,) = json.loads(notes.read_text())
    assert torch.__version__ in key
