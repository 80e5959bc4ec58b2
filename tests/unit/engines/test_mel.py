import numpy as np
import pytest
import torch
from whisper.audio import N_SAMPLES, log_mel_spectrogram

from domain.errors import Stopped
from engines.mel import LONG_PIECE_FRAMES, log_mel

RECORDING = np.random.default_rng(7).normal(0, 0.1, 37_013).astype(np.float32)


def test_in_one_piece_the_spectrogram_is_whispers_bit_for_bit():
    expected = log_mel_spectrogram(RECORDING, 80, padding=N_SAMPLES)

    mel = log_mel(RECORDING, 80, piece_frames=LONG_PIECE_FRAMES)

    assert torch.equal(mel, expected)


def test_in_the_usual_pieces_it_is_whispers():
    recording = np.tile(RECORDING, 40)
    expected = log_mel_spectrogram(recording, 80, padding=N_SAMPLES)

    mel = log_mel(recording, 80)

    assert torch.allclose(mel, expected, atol=1e-5)


def test_pieces_join_without_a_seam():
    whole = log_mel(RECORDING, 80, piece_frames=LONG_PIECE_FRAMES)

    pieces = log_mel(RECORDING, 80, piece_frames=50)

    assert torch.allclose(pieces, whole, atol=1e-5)


def test_a_recording_that_cannot_be_written_to_is_read_without_a_complaint(recwarn):
    frozen = RECORDING.copy()
    frozen.setflags(write=False)

    log_mel(frozen, 80)

    assert not recwarn.list


def test_the_spectrogram_of_hours_can_be_ended():
    asked = []

    def end_at_the_third_piece():
        asked.append(True)
        if len(asked) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        log_mel(RECORDING, 80, piece_frames=100, before_piece=end_at_the_third_piece)

    assert len(asked) == 3
