"""What was written in a slot is what a query of it sees."""

import pytest
import torch

from engines.batched.caches import CpuCache, DeviceCache

HEADS, WIDTH, PLACES, SLOTS = 2, 128, 40, 4
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 2e-2}


def random(*shape, dtype, seed=5):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def plain(queries, mixed, lengths):
    """Attention of queries (rows, n, width) to the first places of mixed (rows, m, 2 * width)."""
    rows, count, width = queries.shape
    keys, values = mixed.float().view(rows, -1, 2, HEADS, width // HEADS).unbind(2)
    split = queries.float().view(rows, count, HEADS, -1)
    scores = torch.einsum("rnhd,rmhd->rhnm", split, keys) * (width // HEADS) ** -0.5
    is_hidden = torch.arange(keys.shape[1]) >= lengths[:, None, :, None]
    weights = scores.masked_fill(is_hidden, float("-inf")).softmax(dim=-1)
    return torch.einsum("rhnm,rmhd->rnhd", weights, values).reshape(rows, count, width)


class TestCpuCache:
    @pytest.fixture(params=TYPES.values(), ids=TYPES)
    def dtype(self, request):
        return request.param

    @pytest.fixture
    def cache(self, dtype):
        return CpuCache(SLOTS, HEADS, PLACES, dtype)

    def check(self, cache, slots, mixed, lengths):
        """Attend to what was written in these slots, `lengths` (rows, n) places of it."""
        queries = random(*lengths.shape, WIDTH, dtype=mixed.dtype, seed=9)
        found = cache.attend(queries, torch.tensor(slots), lengths)
        assert found.dtype == mixed.dtype
        torch.testing.assert_close(
            found.float(), plain(queries, mixed, lengths), rtol=0, atol=ROUNDING[mixed.dtype]
        )

    def test_slots_of_any_order_and_length_are_seen_as_they_were_written(self, cache, dtype):
        slots = [3, 0, 2]
        mixed = random(3, PLACES, 2 * WIDTH, dtype=dtype)

        cache.write(mixed, torch.tensor(slots), torch.zeros(3, dtype=torch.long))

        self.check(cache, slots, mixed, torch.tensor([[1], [PLACES], [17]]))

    def test_a_prompt_is_read_causally_each_token_up_to_itself(self, cache, dtype):
        mixed = random(1, 11, 2 * WIDTH, dtype=dtype)

        cache.write(mixed, torch.tensor([2]), torch.tensor([0]))

        self.check(cache, [2], mixed, torch.arange(1, 12)[None])

    def test_step_by_step_at_different_places_is_as_good_as_at_once(self, cache, dtype):
        slots, lengths = torch.tensor([1, 3]), torch.tensor([9, 4])
        mixed = random(2, 10, 2 * WIDTH, dtype=dtype)
        for row, length in enumerate(lengths.tolist()):
            where = slots[row : row + 1]
            cache.write(mixed[row : row + 1, :length].contiguous(), where, torch.tensor([0]))

        following = torch.stack([mixed[row, length] for row, length in enumerate(lengths)])
        cache.write(following[:, None], slots, lengths)

        self.check(cache, slots.tolist(), mixed, lengths[:, None] + 1)

    def test_a_new_window_overwrites_its_slot_and_no_other(self, cache, dtype):
        old, new = random(2, PLACES, 2 * WIDTH, dtype=dtype, seed=1).split(1)
        for slot in (0, 1):
            cache.write(old, torch.tensor([slot]), torch.tensor([0]))

        cache.write(new[:, :20].contiguous(), torch.tensor([1]), torch.tensor([0]))

        self.check(cache, [0], old, torch.tensor([[PLACES]]))
        self.check(cache, [1], new, torch.tensor([[20]]))


class TestDeviceCache:
    def test_a_window_lies_in_the_first_places_of_its_slot_and_the_rest_stays(self):
        cache = DeviceCache(SLOTS, HEADS, PLACES, torch.float32, torch.device("cpu"))
        old = random(SLOTS, PLACES, 2 * WIDTH, dtype=torch.float32, seed=1)
        cache.put(old, torch.arange(SLOTS))
        new = random(2, 15, 2 * WIDTH, dtype=torch.float32, seed=2)

        cache.put(new, torch.tensor([3, 1]))

        expected = old.clone()
        expected[3, :15], expected[1, :15] = new
        keys, values = expected.view(SLOTS, PLACES, 2, HEADS, 64).permute(2, 0, 3, 1, 4)
        assert torch.equal(cache.keys, keys)
        assert torch.equal(cache.values, values)
