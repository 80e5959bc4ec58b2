"""Find out whether a file holds sound: by its header if it is plain, else by its first frames."""

from dataclasses import dataclass
from pathlib import Path

from audio.child import run_child
from audio.ffmpeg import FIRST_AUDIO_STREAM, QUIET, input_options
from audio.log import FfmpegLog
from audio.plain_wav import find_plain_sound
from audio.reason import explain_refusal
from audio.signature import refuse_by_signature, wav_claim_s
from domain.errors import AudioEmpty
from engines.base import SAMPLE_RATE_HZ

# ashowinfo reports a frame as it was decoded; what the header says may be untrue. Eight of them,
# because noise may resemble one or two frames of MP3.
FIRST_FRAMES = ("-af", "ashowinfo", "-frames:a", "8", "-f", "null", "-")


@dataclass(frozen=True)
class AudioProbe:
    """What a file holds. The rate and the channels are those of its first decoded frame."""

    duration_s: float | None  # as the file claims: not to be trusted; None: it claims nothing
    container: str  # ffmpeg's name of the format, such as `wav` or `matroska,webm`
    codec: str
    sample_rate_hz: int
    channels: int


def probe(path: Path, *, ffmpeg: str, timeout_s: float) -> AudioProbe:
    """Look at a recording and prove that at least one frame of sound comes out of it.

    Raises AudioEmpty for no bytes or no samples, AudioStreamMissing for a picture or a video
    without sound, AudioUnreadable for everything else that is no recording,
    AudioDecodeTimeout after `timeout_s`, AudioGone when the file is not there.
    """
    refuse_by_signature(path)
    sound = find_plain_sound(path)
    if sound is not None:
        return AudioProbe(sound.duration_s, "wav", "pcm_s16le", SAMPLE_RATE_HZ, channels=1)
    return probe_by_ffmpeg(path, ffmpeg=ffmpeg, timeout_s=timeout_s)


def probe_by_ffmpeg(path: Path, *, ffmpeg: str, timeout_s: float) -> AudioProbe:
    """As `probe`, for a file whose first bytes were looked at, whatever is in it."""
    log = FfmpegLog()
    command = [ffmpeg, *QUIET, *input_options(path), *FIRST_AUDIO_STREAM, *FIRST_FRAMES]
    code = run_child(command, timeout_s=timeout_s, on_output=lambda _: None, on_log=log.feed)
    if log.container is None or log.codec is None or (log.is_guess and log.complaints):
        raise explain_refusal(log, path, code)
    if log.channels is None or log.sample_rate_hz is None:
        if code == 0 and not log.complaints:
            raise AudioEmpty("the file has a sound track without any sound in it")
        raise explain_refusal(log, path, code)
    claim_s = wav_claim_s(path) if log.container == "wav" else None
    return AudioProbe(
        duration_s=log.duration_s if claim_s is None else claim_s,
        container=log.container,
        codec=log.codec,
        sample_rate_hz=log.sample_rate_hz,
        channels=log.channels,
    )
