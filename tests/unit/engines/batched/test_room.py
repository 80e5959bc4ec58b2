import pytest
import torch
from whisper.model import ModelDimensions

from engines.batched.room import slot_mb, slots_for

BASE = ModelDimensions(80, 1500, 512, 8, 6, 51865, 448, 512, 8, 6)
LARGE = ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 32)


def test_a_slot_holds_keys_and_values_of_all_layers_and_places():
    megabytes = slot_mb(BASE, torch.bfloat16)

    assert megabytes == pytest.approx(2 * 6 * 512 * (1500 + 448) * 2 / 1024**2)


@pytest.mark.parametrize(
    ("dims", "dtype", "device", "slots"),
    [
        (BASE, torch.bfloat16, "cpu", 16),
        (BASE, torch.float32, "cpu", 11),
        (LARGE, torch.float32, "cpu", 2),
        (LARGE, torch.float16, "cuda:0", 64),
    ],
)
def test_large_models_get_fewer_slots(dims, dtype, device, slots):
    assert slots_for(dims, dtype, device) == slots
