"""The reference of a GPU's operations against arithmetic written out, and who does them."""

import math

import pytest
import torch

from engines.batched.blocks import Norm
from engines.batched.device_choice import differences, operations_for
from engines.batched.device_operations import TorchOperations

ROWS, SLOTS, HEADS, PLACES = 3, 5, 2, 20
WIDTH = HEADS * 64
CPU = torch.device("cpu")


def random(*shape, seed=5):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def looked_up(query, keys, values):
    """What one query (heads, 64) makes of keys and values (heads, places, 64)."""
    weights = torch.einsum("hd,hpd->hp", query, keys).div(math.sqrt(64)).softmax(dim=-1)
    return torch.einsum("hp,hpd->hd", weights, values).flatten()


def test_every_row_sees_so_many_places_of_its_slot():
    keys, values = random(SLOTS, HEADS, PLACES, 64), random(SLOTS, HEADS, PLACES, 64, seed=6)
    queries, lengths = random(ROWS, WIDTH, seed=7), [1, PLACES, 9]

    found = TorchOperations().attend(queries, keys, values, torch.tensor(lengths))

    expected = [
        looked_up(queries[row].view(HEADS, 64), keys[row, :, :length], values[row, :, :length])
        for row, length in enumerate(lengths)
    ]
    torch.testing.assert_close(found, torch.stack(expected))


def test_a_new_place_is_kept_and_seen_beside_the_earlier_ones():
    keys, values = random(SLOTS, HEADS, PLACES, 64), random(SLOTS, HEADS, PLACES, 64, seed=6)
    before = keys.clone()
    mixed, positions = random(ROWS, 3 * WIDTH, seed=7), [0, 12, PLACES - 1]

    found = TorchOperations().attend_own(mixed, keys, values, torch.tensor(positions))

    for row, position in enumerate(positions):
        query, key, value = mixed[row].view(3, HEADS, 64)
        assert torch.equal(keys[row, :, position], key)
        assert torch.equal(values[row, :, position], value)
        seen = slice(position + 1)
        expected = looked_up(query, keys[row, :, seen], values[row, :, seen])
        torch.testing.assert_close(found[row], expected)
    assert torch.equal(keys[ROWS:], before[ROWS:])


def test_a_change_is_added_in_place_and_the_sum_normed():
    x, change = random(ROWS, WIDTH), random(ROWS, WIDTH, seed=6)
    norm = Norm(random(WIDTH, seed=7), random(WIDTH, seed=8))
    total = x + change

    found = TorchOperations().add_norm(x, change, norm, torch.float16)

    assert torch.equal(x, total)
    assert torch.equal(found, norm(total).half())
    assert torch.equal(TorchOperations().add_norm(x, None, norm, torch.float32), norm(total))


class Deviating(TorchOperations):
    """Forgets the last place."""

    def attend(self, queries, keys, values, lengths):
        return super().attend(queries, keys, values, (lengths - 1).clamp(min=1))


class Numberless(TorchOperations):
    """Computes no numbers."""

    def add_norm(self, x, change, norm, dtype):
        return super().add_norm(x, change, norm, dtype) * torch.nan


def raise_import_error():
    raise ImportError("no kernels here")


def test_operations_that_agree_with_torchs_are_used():
    class Other(TorchOperations):
        pass

    found = operations_for(CPU, Other)

    assert type(found) is Other
    assert max(differences(found, CPU).values()) == 0


@pytest.mark.parametrize("candidate", [Deviating, Numberless, raise_import_error])
def test_operations_that_fail_or_deviate_are_not_used_and_the_reason_is_logged(candidate, caplog):
    found = operations_for(CPU, candidate)

    assert type(found) is TorchOperations
    [record] = caplog.records
    assert record.message == "kernels_unavailable"
    assert record.reason


def test_a_cpu_has_no_kernels_of_our_own(caplog):
    found = operations_for(CPU)

    assert type(found) is TorchOperations
    assert caplog.records == []
