"""What the sides of `speed` are given to hear."""

import wave
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from math import ceil
from pathlib import Path

import numpy as np

from audio.decode import decode
from benchmarks.errors import BenchmarkFailed
from benchmarks.manifest import Recording, sample_recordings
from benchmarks.recordings import cut, make_long, sample_files, server_ffmpeg
from config import Settings
from domain.errors import AudioError
from engines.base import SAMPLE_RATE_HZ, Samples

LONG_MIN_S = 60.0
SHORT_MAX_S = 30.0  # what Whisper hears in one window
GAIN_JOBS = 16
GAIN_S = 20
DECODE_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Prepared:
    """A recording and its samples, in a file that `np.load` reads."""

    recording: Recording
    samples_path: Path
    audio_s: float

    def path(self, *, is_decoded: bool) -> Path:
        """Its samples, or the file as it came."""
        return self.samples_path if is_decoded else self.recording.path


def of_kinds(recordings: Sequence[Recording], kinds: Sequence[str]) -> list[Recording]:
    """Those of the kinds; all without any. Raises BenchmarkFailed for a kind that none has."""
    unknown = set(kinds) - {recording.kind for recording in recordings}
    if unknown:
        raise BenchmarkFailed(f"no recording is of kind {', '.join(sorted(unknown))}")
    return [recording for recording in recordings if not kinds or recording.kind in kinds]


def long_ones(recordings: Sequence[Recording]) -> list[Recording]:
    """Those of a minute and more. Raises BenchmarkFailed for none."""
    found = [recording for recording in recordings if recording.duration_s >= LONG_MIN_S]
    if not found:
        raise BenchmarkFailed(f"no recording of {LONG_MIN_S:.0f} s or more was chosen")
    return found


def short_ones(recordings: Sequence[Recording], count: int) -> list[Recording]:
    """`count` of those that fit into a window, over and over. Raises BenchmarkFailed for none."""
    found = [recording for recording in recordings if recording.duration_s <= SHORT_MAX_S]
    if not found:
        raise BenchmarkFailed(f"no recording of {SHORT_MAX_S:.0f} s or less was chosen")
    return list(islice(cycle(found), count))


def samples_over_and_over(folder: Path, seconds: float) -> Recording:
    """The project's samples one after another, the last time whole: their words are known."""
    files = sample_files()
    once_s = sum(map(_wav_seconds, files))
    times = ceil(seconds / once_s)
    texts = {recording.name: recording.text for recording in sample_recordings()}
    return Recording(
        name=f"samples, {times} times",
        path=make_long(folder, times * once_s),
        kind="samples",
        text=" ".join([texts[path.name] for path in files] * times),
        language="en",
        duration_s=times * once_s,
    )


def recording_of(file: Path, folder: Path, seconds: float) -> Recording:
    """Somebody's recording, cut to `seconds`; nobody knows its words."""
    return Recording(file.name, cut(file, folder, seconds), "file", "", "", seconds)


def _wav_seconds(path: Path) -> float:
    with wave.open(str(path)) as stream:
        return float(stream.getnframes() / stream.getframerate())


def prepare(recordings: Sequence[Recording], folder: Path) -> list[Prepared]:
    """Decode every recording once into a new `folder`, the same samples for all sides.

    Raises BenchmarkFailed for one that cannot be decoded.
    """
    folder.mkdir()
    done: dict[Path, Prepared] = {}
    for number, recording in enumerate(recordings):
        if recording.path not in done:
            samples = _decode(recording)
            path = folder / f"{number}.npy"
            np.save(path, samples)
            done[recording.path] = Prepared(recording, path, len(samples) / SAMPLE_RATE_HZ)
    return [replace(done[recording.path], recording=recording) for recording in recordings]


def _decode(recording: Recording) -> Samples:
    settings = Settings()
    try:
        return decode(
            recording.path,
            ffmpeg=str(server_ffmpeg()),
            max_duration_s=settings.max_audio_duration_s,
            timeout_s=DECODE_TIMEOUT_S,
        ).samples
    except AudioError as error:
        raise BenchmarkFailed(f"{recording.name}: {error}") from error


def cut_jobs(samples: Samples, count: int = GAIN_JOBS, seconds: float = GAIN_S) -> list[Samples]:
    """`count` jobs of `seconds` out of samples, begun again where these end."""
    length = int(seconds * SAMPLE_RATE_HZ)
    return list(np.resize(samples, (count, length)))


def prepare_jobs(source: Prepared, folder: Path) -> list[Path]:
    """Files with the samples of the jobs cut out of a recording."""
    paths = []
    for number, samples in enumerate(cut_jobs(np.load(source.samples_path))):
        paths.append(folder / f"job-{number}.npy")
        np.save(paths[-1], samples)
    return paths
