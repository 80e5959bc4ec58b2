"""Recordings and windows that carry nothing to hear."""

from domain.transcript import Warning_
from engines.base import SAMPLE_RATE_HZ, Samples

SILENCE_PEAK = 1e-4  # -80 dBFS; the noise floor of a 16-bit recording lies near -96 dBFS
MIN_SAMPLES = SAMPLE_RATE_HZ // 100  # one frame of the spectrogram
UNDETERMINED = "und"  # ISO 639-2: no language was heard and none was chosen


def is_silent(samples: Samples) -> bool:
    """Whether no sample rises above -80 dBFS. Whisper invents words for such windows."""
    if samples.size == 0:
        return True
    # Not abs(): it would copy a recording of hours.
    return max(float(samples.max()), -float(samples.min())) < SILENCE_PEAK


def warnings_about(audio: Samples) -> tuple[Warning_, ...]:
    """What the reader of an empty transcript must know; nothing for audible recordings."""
    if len(audio) < MIN_SAMPLES:
        return (Warning_("audio_too_short", "The recording is shorter than 10 ms."),)
    if is_silent(audio):
        return (
            Warning_("silent_audio", "The recording is digitally silent (peak below -80 dBFS)."),
        )
    return ()
