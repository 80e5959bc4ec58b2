import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from domain.errors import ModelUnavailable
from engines.weights.checkpoint import write_checkpoint
from engines.weights.ctranslate2_file import read_ctranslate2
from engines.weights.ggml import read_ggml
from tests.unit.weights.tiny_models import (
    DIMENSIONS,
    make_checkpoint,
    write_ctranslate2,
    write_ggml,
)

LAYOUTS = [
    pytest.param(write_ggml, read_ggml, id="ggml"),
    pytest.param(write_ctranslate2, read_ctranslate2, id="ctranslate2"),
]


@pytest.mark.parametrize(("write", "read"), LAYOUTS)
def test_a_model_comes_back_from_another_layout_with_every_value(tmp_path, write, read):
    original = make_checkpoint()
    write(original, tmp_path / "model.bin")

    found = read(tmp_path / "model.bin")

    assert found.dimensions == DIMENSIONS
    assert found.tensors.keys() == original.tensors.keys()
    for name, tensor in original.tensors.items():
        assert np.array_equal(found.tensors[name], tensor), name


@pytest.mark.parametrize("n_bytes_left", [10, 60, 5000, -1])
@pytest.mark.parametrize(("write", "read"), LAYOUTS)
def test_a_file_that_is_cut_off_is_refused(tmp_path, write, read, n_bytes_left):
    path = tmp_path / "model.bin"
    write(make_checkpoint(), path)
    # The last four bytes of CTranslate2's layout count aliases, which are not read.
    path.write_bytes(
        path.read_bytes()[:-5] if n_bytes_left < 0 else path.read_bytes()[:n_bytes_left]
    )

    with pytest.raises(ModelUnavailable, match="cut off"):
        read(path)


@pytest.mark.parametrize("read", [read_ggml, read_ctranslate2])
def test_a_file_of_another_kind_is_refused(tmp_path, read):
    (tmp_path / "model.bin").write_bytes(b"RIFF" * 100)

    with pytest.raises(ModelUnavailable):
        read(tmp_path / "model.bin")


def test_a_quantised_ggml_file_is_refused(tmp_path):
    write_ggml(make_checkpoint(), tmp_path / "model.bin", kind=8)

    with pytest.raises(ModelUnavailable, match="quantised"):
        read_ggml(tmp_path / "model.bin")


def test_values_that_float16_cannot_hold_are_refused(tmp_path):
    original = make_checkpoint()
    tensors = dict(original.tensors)
    tensors["decoder.ln.bias"] = tensors["decoder.ln.bias"].astype(np.float32) + 1e-6
    write_ggml(replace(original, tensors=tensors), tmp_path / "model.bin")

    with pytest.raises(ModelUnavailable, match=r"decoder\.ln\.bias"):
        read_ggml(tmp_path / "model.bin")


@pytest.mark.parametrize("cast", [np.int8, np.float32])
def test_a_ctranslate2_file_that_is_not_float16_is_refused(tmp_path, cast):
    write_ctranslate2(make_checkpoint(), tmp_path / "model.bin", cast=cast)

    with pytest.raises(ModelUnavailable, match="only float16"):
        read_ctranslate2(tmp_path / "model.bin")


def test_a_ctranslate2_file_that_lacks_a_variable_is_refused(tmp_path):
    write_ctranslate2(make_checkpoint(), tmp_path / "model.bin", skip="encoder/conv1/bias")

    with pytest.raises(ModelUnavailable, match="encoder/conv1/bias"):
        read_ctranslate2(tmp_path / "model.bin")


def test_torch_reads_the_checkpoint_that_was_written(tmp_path):
    original = make_checkpoint()

    write_checkpoint(original, tmp_path / "model.pt")

    loaded = torch.load(tmp_path / "model.pt", weights_only=True)
    assert loaded["dims"] == DIMENSIONS
    for name, tensor in original.tensors.items():
        assert np.array_equal(loaded["model_state_dict"][name].numpy(), tensor), name


def test_a_linear_weight_is_stored_transposed_and_an_embedding_is_not(tmp_path):
    write_checkpoint(make_checkpoint(), tmp_path / "model.pt")

    state = torch.load(tmp_path / "model.pt", weights_only=True)["model_state_dict"]
    assert state["encoder.blocks.0.mlp.0.weight"].stride() == (1, 256)
    assert state["decoder.token_embedding.weight"].stride() == (64, 1)


def test_every_record_of_a_checkpoint_is_sound_and_starts_on_64_bytes(tmp_path):
    path = tmp_path / "model.pt"

    write_checkpoint(make_checkpoint(), path)

    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for info in archive.infolist():
            if info.file_size > 64:  # the version record, 2 bytes, stands in others too
                assert content.find(archive.read(info)) % 64 == 0, info.filename


def test_a_model_with_a_missing_tensor_is_not_written(tmp_path):
    original = make_checkpoint()
    tensors = dict(original.tensors)
    del tensors["encoder.ln_post.bias"]

    with pytest.raises(ModelUnavailable, match=r"encoder\.ln_post\.bias"):
        write_checkpoint(replace(original, tensors=tensors), tmp_path / "model.pt")

    assert not (tmp_path / "model.pt").exists()
