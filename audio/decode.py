"""Turn any accepted recording into samples.

What is plain is read as it is; all else goes through ffmpeg, in one strict pass, and in one
lenient pass if that fails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np

from audio.child import run_child
from audio.ffmpeg import FIRST_AUDIO_STREAM, QUIET, input_options
from audio.log import FfmpegLog
from audio.loss import DecodeFacts, describe_loss
from audio.plain_wav import find_plain_sound, read_plain_sound
from audio.reason import explain_refusal
from audio.samples import sanitise
from audio.signature import refuse_by_signature, wav_claim_s
from domain.errors import AudioEmpty, AudioTooLong
from domain.transcript import Warning_
from engines.base import SAMPLE_RATE_HZ, Samples

BYTES_PER_SAMPLE = 4  # 32-bit float
END_S = 1.0  # more than ffmpeg holds back when it gives up
ENDED_EARLY = "File ended prematurely"  # Matroska, which ffmpeg does not call an error

STRICT = ("-xerror",)
# Keep going over damage, however much of it there is.
LENIENT = ("-max_error_rate", "1", "-err_detect", "ignore_err")
FLOAT_MONO = (
    *("-f", "f32le", "-acodec", "pcm_f32le", "-ac", "1", "-ar", f"{SAMPLE_RATE_HZ}"),
    # Without it a mix of like channels in floating point exceeds full scale and would be clipped.
    *("-rematrix_maxval", "1"),
)


@dataclass(frozen=True)
class DecodedAudio:
    """A whole recording in memory: 64 kB per second."""

    samples: Samples  # float32, mono, 16 kHz, from -1 to 1
    duration_s: float  # of what was decoded
    warnings: tuple[Warning_, ...] = ()


class _Sink:
    """Collects the decoder's output, up to a limit; grows as bytes come, not as a file claims."""

    def __init__(self, max_duration_s: float) -> None:
        self.data = bytearray()
        self._maximum_s = max_duration_s
        self._max_bytes = int(max_duration_s * SAMPLE_RATE_HZ) * BYTES_PER_SAMPLE

    def write(self, chunk: bytes) -> None:
        if len(self.data) + len(chunk) > self._max_bytes:
            raise AudioTooLong(
                f"the recording is longer than {self._maximum_s:g} s", maximum_s=self._maximum_s
            )
        self.data += chunk

    def samples(self) -> Samples:
        """A view of the bytes, no copy; nothing may be written after it."""
        count = len(self.data) // BYTES_PER_SAMPLE
        return np.frombuffer(self.data, dtype=np.float32, count=count)


@dataclass(frozen=True)
class _Pass:
    code: int
    log: FfmpegLog
    samples: Samples


def decode(
    path: Path,
    *,
    ffmpeg: str,
    max_duration_s: float,
    timeout_s: float,
    expected_s: float | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> DecodedAudio:
    """Decode the first sound track of `path`, mixed down to one channel.

    `timeout_s` covers both passes. `expected_s` is a length known from outside the file (so not
    from a probe), used where the file itself claims none for its sound. What was lost stands in
    the warnings: `audio_damaged`, `audio_truncated`. Raises AudioTooLong past `max_duration_s`,
    AudioEmpty, AudioUnreadable, AudioStreamMissing, AudioDecodeTimeout, AudioGone, and Stopped
    soon after `should_stop` turns true.
    """
    refuse_by_signature(path)
    sound = find_plain_sound(path)
    if sound is not None:
        samples = read_plain_sound(
            path,
            sound,
            max_duration_s=max_duration_s,
            timeout_s=timeout_s,
            should_stop=should_stop,
        )
        if samples is not None:
            return DecodedAudio(samples, sound.duration_s)
    return decode_by_ffmpeg(
        path,
        ffmpeg=ffmpeg,
        max_duration_s=max_duration_s,
        timeout_s=timeout_s,
        expected_s=expected_s,
        should_stop=should_stop,
    )


def decode_by_ffmpeg(
    path: Path,
    *,
    ffmpeg: str,
    max_duration_s: float,
    timeout_s: float,
    expected_s: float | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> DecodedAudio:
    """As `decode`, for a file whose first bytes were looked at, whatever is in it."""
    deadline = monotonic() + timeout_s

    def run_pass(options: tuple[str, ...]) -> _Pass:
        command = _command(ffmpeg, path, options)
        return _run_pass(command, max_duration_s, deadline - monotonic(), should_stop)

    done = run_pass(STRICT)
    strict_size = done.samples.size
    was_repaired = done.code != 0 and _is_worth_repair(done.log)
    if was_repaired:
        del done  # or both passes would be in memory at once
        done = run_pass(LENIENT)
    if done.samples.size == 0 or (done.code != 0 and not was_repaired):
        raise _explain_nothing(done, path)
    facts = _facts(done, path, expected_s, strict_size if was_repaired else None)
    return DecodedAudio(done.samples, facts.decoded_s, describe_loss(facts))


def _command(ffmpeg: str, path: Path, options: tuple[str, ...]) -> list[str]:
    source = input_options(path)
    return [ffmpeg, *QUIET, *options, *source, *FIRST_AUDIO_STREAM, *FLOAT_MONO, "pipe:1"]


def _run_pass(
    command: list[str],
    max_duration_s: float,
    timeout_s: float,
    should_stop: Callable[[], bool] | None,
) -> _Pass:
    sink, log = _Sink(max_duration_s), FfmpegLog()
    code = run_child(
        command,
        timeout_s=timeout_s,
        on_output=sink.write,
        on_log=log.feed,
        should_stop=should_stop,
    )
    return _Pass(code, log, sink.samples())


def _is_worth_repair(log: FfmpegLog) -> bool:
    """Whether there is a sound track to repair, and not text that resembles one."""
    return log.container is not None and log.codec is not None and not log.is_guess


def _explain_nothing(done: _Pass, path: Path) -> Exception:
    if done.code == 0 and not done.log.complaints:
        return AudioEmpty("the file has a sound track without any sound in it")
    return explain_refusal(done.log, path, done.code)


def _facts(
    done: _Pass, path: Path, expected_s: float | None, strict_size: int | None
) -> DecodeFacts:
    """Weigh the pass that counts; `strict_size` samples came before, if a strict one failed."""
    log = done.log
    claim_s = _claim_for_sound(log, path)
    # What stopped the strict pass was the end itself if the lenient one found nothing beyond.
    stopped_at_end = (
        strict_size is not None and done.samples.size - strict_size < END_S * SAMPLE_RATE_HZ
    )
    return DecodeFacts(
        decoded_s=done.samples.size / SAMPLE_RATE_HZ,
        expected_s=expected_s if claim_s is None else claim_s,
        bad_samples=sanitise(done.samples),
        was_repaired=strict_size is not None,
        is_cut_off=stopped_at_end or any(ENDED_EARLY in line for line in log.complaints),
        is_open_ended=log.container == "wav" and claim_s is None,
        has_complaints=bool(log.complaints),
    )


def _claim_for_sound(log: FfmpegLog, path: Path) -> float | None:
    """Seconds of sound that the file claims. A film claims only how long its pictures last."""
    if log.container == "wav":
        return wav_claim_s(path)
    return None if log.is_duration_estimated or log.has_video else log.duration_s
