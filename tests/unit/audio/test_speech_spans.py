import numpy as np
import pytest

from audio.speech import FRAME_S, spans_of
from domain.speech import Span


@pytest.mark.parametrize(
    ("probabilities", "runs"),
    [
        ([], []),
        ([0.05, 0.05], []),
        ([0.0, 0.9, 0.0], [(1, 2)]),
        ([0.9], [(0, 1)]),
        # Soft beginnings and ends belong to what is clear between them ...
        ([0.0, 0.12, 0.9, 0.12, 0.0], [(1, 4)]),
        # ... and are nothing by themselves.
        ([0.0, 0.15, 0.15, 0.0], []),
        ([0.9, 0.0, 0.15, 0.0, 0.3], [(0, 1), (4, 5)]),
    ],
)
def test_frames_become_spans(probabilities, runs):
    spans = spans_of(np.array(probabilities, np.float32))

    assert spans == tuple(Span(first * FRAME_S, end * FRAME_S) for first, end in runs)
