import torch

from engines.batched.requests import WaitingFeatures, tensor_of

MEL = torch.zeros(80, 3000)


class Encoder:
    """Features are the number of the call."""

    def __init__(self):
        self.mels = []

    def encode(self, mels):
        self.mels.append(mels)
        return torch.full((len(mels), 4, 2), float(len(self.mels)))


def test_a_waiting_window_is_encoded_once_when_it_is_asked_for():
    encoder = Encoder()
    waiting = WaitingFeatures(MEL, encoder.encode)

    found = [tensor_of(waiting) for _ in range(2)]

    assert [mels.shape for mels in encoder.mels] == [(1, 80, 3000)]
    assert all(torch.equal(each, torch.ones(4, 2)) for each in found)
    assert waiting.mel is None


def test_a_window_that_others_encoded_is_not_encoded_again():
    encoder = Encoder()
    waiting = WaitingFeatures(MEL, encoder.encode)

    waiting.put(torch.zeros(4, 2))

    assert torch.equal(tensor_of(waiting), torch.zeros(4, 2))
    assert encoder.mels == []


def test_features_that_are_there_are_taken_as_they_are():
    features = torch.ones(4, 2)

    assert tensor_of(features) is features
