import pytest
import torch
from whisper.model import ModelDimensions, Whisper, disable_sdpa

from engines.own_modules import with_own_modules

SMALL = ModelDimensions(8, 16, 128, 2, 2, 100, 12, 128, 2, 2)
MEL = torch.linspace(-1, 1, 8 * 32).reshape(1, 8, 32)
TOKENS = torch.tensor([[1, 2, 3]])


@pytest.fixture
def shared():
    torch.manual_seed(1)
    model = Whisper(SMALL).eval()
    model.decoder.positional_embedding.data.normal_()
    return model


def logits_of(model):
    with torch.inference_mode():
        return model(MEL, TOKENS)


def test_own_modules_refer_to_the_same_weights(shared):
    own = with_own_modules(shared)

    ours = {name: tensor.data_ptr() for name, tensor in own.state_dict().items()}
    assert ours == {name: tensor.data_ptr() for name, tensor in shared.state_dict().items()}
    assert own.alignment_heads is shared.alignment_heads


def test_own_modules_compute_the_same(shared):
    own = with_own_modules(shared)

    assert torch.equal(logits_of(own), logits_of(shared))


def test_a_hook_on_own_modules_is_called_by_nobody_else(shared):
    calls = []
    own = with_own_modules(shared)
    own.decoder.register_forward_pre_hook(lambda *_: calls.append("own"))

    logits_of(shared)
    logits_of(own)

    assert calls == ["own"]


def test_an_alignment_elsewhere_changes_nothing_in_own_modules(shared):
    own = with_own_modules(shared)
    expected = logits_of(own)

    with disable_sdpa():
        during = logits_of(own)

    assert torch.equal(during, expected)


def test_a_cache_of_keys_and_values_works_on_own_modules(shared):
    own = with_own_modules(shared)
    cache, hooks = own.install_kv_cache_hooks()

    with torch.inference_mode():
        features = own.encoder(MEL)
        own.decoder(TOKENS[:, :2], features, kv_cache=cache)
        last = own.decoder(TOKENS[:, 2:], features, kv_cache=cache)
    for hook in hooks:
        hook.remove()

    assert torch.allclose(last[:, -1], logits_of(shared)[:, -1], atol=1e-5)
