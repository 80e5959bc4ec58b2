"""Weights as they come from disk: converted once, mapped, and replaced when damaged."""

import pytest
import torch

from engines.loading import load_whisper
from tests.real_models import MODEL_DIR, real_loader


@pytest.fixture
def official(tmp_path):
    """The official file of tiny, alone in a folder."""
    real_loader("tiny")
    link = tmp_path / "tiny.pt"
    link.symlink_to(MODEL_DIR / "tiny.pt")
    return link


def mapped_files(official):
    return sorted((official.parent / "mapped").glob("*.pt"))


def test_the_weights_are_the_official_ones(official):
    model = load_whisper("tiny", "cpu", official)

    expected = torch.load(official, weights_only=True)["model_state_dict"]
    loaded = model.state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name].float()) for name in expected)
    assert len(mapped_files(official)) == 1


def test_what_no_checkpoint_holds_is_rebuilt(official):
    model = load_whisper("tiny", "cpu", official)

    hidden = model.decoder.mask
    assert hidden[0, 0] == hidden[9, 3] == 0
    assert hidden[3, 9] == float("-inf")
    assert model.alignment_heads.to_dense().sum() == 6


def test_a_damaged_copy_is_made_again(official):
    load_whisper("tiny", "cpu", official)
    [copy] = mapped_files(official)
    copy.write_bytes(copy.read_bytes()[:1_000_000])

    first = load_whisper("tiny", "cpu", official)
    second = load_whisper("tiny", "cpu", official)

    assert torch.equal(first.decoder.ln.weight, second.decoder.ln.weight)
    assert copy.stat().st_size > 100_000_000


def test_without_a_place_for_the_copy_the_weights_are_loaded_all_the_same(official):
    (official.parent / "mapped").write_text("not a folder")

    model = load_whisper("tiny", "cpu", official)

    assert model.dims.n_text_layer == 4
