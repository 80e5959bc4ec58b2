"""Log-mel spectrogram of a recording of any length, in bounded working memory."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional
from whisper.audio import HOP_LENGTH, N_FFT, N_SAMPLES, mel_filters

from engines.base import Samples

# Ten minutes, which take 150 MB while they are worked on; four hours would take 4 GB.
LONG_PIECE_FRAMES = 60_000
# On a CPU half a minute, whose 8 MB are used again for the next: fresh memory costs more than the
# arithmetic.
PIECE_FRAMES = {"cpu": 3_000, "cuda": LONG_PIECE_FRAMES}
HALF_FFT = N_FFT // 2
DYNAMIC_RANGE = 8.0  # in log10: what lies 80 dB below the loudest bin is floor


def log_mel(
    audio: Samples,
    n_mels: int,
    *,
    device: torch.device | str = "cpu",
    piece_frames: int | None = None,
    before_piece: Callable[[], None] = lambda: None,
) -> torch.Tensor:
    """The spectrogram that Whisper expects, shape (n_mels, frames), 100 frames per second.

    The recording is followed by 30 s of digital silence, so that a full window can be cut at
    every place in it. Equal to openai-whisper's while it fits in one piece, bit for bit; in
    several, but for rounding on some processors. It is computed on `device` and stays there: 115 MB
    per hour with 80 bins, 184 MB with 128.
    `before_piece` is called before every piece; what it raises ends the work.
    """
    frames = (len(audio) + N_SAMPLES) // HOP_LENGTH
    piece_frames = piece_frames or PIECE_FRAMES[torch.device(device).type]
    filters = mel_filters(device, n_mels)
    mel = torch.empty(n_mels, frames, device=device)
    for first in range(0, frames, piece_frames):
        before_piece()
        last = min(first + piece_frames, frames)
        mel[:, first:last] = _log_bins(_samples_under(audio, first, last).to(device), filters)
    # In place: the spectrogram of four hours is 460 MB.
    torch.maximum(mel, mel.max() - DYNAMIC_RANGE, out=mel)
    return mel.add_(4.0).div_(4.0)


def _samples_under(audio: Samples, first: int, last: int) -> torch.Tensor:
    """The samples under frames `first` up to `last`, half an FFT more on either side."""
    start = first * HOP_LENGTH - HALF_FFT
    stop = last * HOP_LENGTH + HALF_FFT
    inside = torch.from_numpy(np.array(audio[max(start, 0) : stop], dtype=np.float32))
    inside = functional.pad(inside, (0, stop - max(start, 0) - len(inside)))
    if start >= 0:
        return inside
    # Before the first sample the recording is mirrored.
    return functional.pad(inside[None], (-start, 0), mode="reflect")[0]


def _log_bins(samples: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    spectrum = torch.stft(
        samples,
        N_FFT,
        HOP_LENGTH,
        window=torch.hann_window(N_FFT, device=samples.device),
        center=False,
        return_complex=True,
    )
    # The last frame begins where the next piece's first does.
    power = spectrum[..., :-1].abs() ** 2
    return (filters @ power).clamp(min=1e-10).log10()
