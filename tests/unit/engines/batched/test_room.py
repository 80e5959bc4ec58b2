import pytest
import torch
from whisper.model import ModelDimensions

from engines.batched import room
from engines.batched.linear import EXACT_ROWS
from engines.batched.room import HYPOTHESES, MOST, slot_mb, slots_for

BASE = ModelDimensions(80, 1500, 512, 8, 6, 51865, 448, 512, 8, 6)
LARGE = ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 32)


@pytest.mark.parametrize("hypotheses", [1, 3])
def test_a_slot_holds_keys_and_values_of_all_layers_and_places(hypotheses):
    megabytes = slot_mb(BASE, torch.bfloat16, hypotheses)

    assert megabytes == pytest.approx(2 * 6 * 512 * (1500 + hypotheses * 448) * 2 / 1024**2)


@pytest.mark.parametrize(
    ("dims", "dtype", "device", "slots"),
    [
        (BASE, torch.bfloat16, "cpu", 16),
        (BASE, torch.float32, "cpu", 11),
        (LARGE, torch.float32, "cpu", 2),
    ],
)
def test_large_models_get_fewer_slots(dims, dtype, device, slots):
    assert slots_for(dims, dtype, device) == slots


def test_on_a_cpu_a_steps_rows_are_so_few_that_their_bits_do_not_depend_on_their_number():
    assert MOST["cpu"] * HYPOTHESES["cpu"] <= EXACT_ROWS


@pytest.mark.parametrize(("free_mb", "slots"), [(140_000, 64), (20_000, 26), (500, 2)])
def test_a_gpu_holds_as_many_as_its_free_memory_allows(monkeypatch, free_mb, slots):
    monkeypatch.setattr(room, "free_gpu_mb", lambda _device: free_mb)

    assert slots_for(LARGE, torch.float16, "cuda:0") == slots
