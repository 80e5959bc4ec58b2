import torch

from engines.batched.network import HEAD_ALIGNMENT, _aligned_head


def test_rows_of_zeros_behind_the_embedding_change_no_logits():
    embedding = torch.randn(HEAD_ALIGNMENT + 3, 8, generator=torch.Generator().manual_seed(2))
    x = torch.ones(2, 8)

    padded, head = _aligned_head(embedding)

    assert padded.shape == (2 * HEAD_ALIGNMENT, 8)
    assert torch.equal(padded[: len(embedding)], embedding)
    torch.testing.assert_close(head(x), x @ embedding.T)
