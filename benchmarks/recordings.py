"""Recordings of a wanted length, made of real speech by ffmpeg."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from audio.ffmpeg import find_ffmpeg
from benchmarks.errors import BenchmarkFailed
from config import Settings
from scripts.samples import SAMPLES, sample_path

FFMPEG_TIMEOUT_S = 600.0
WAV_HEADER_BYTES = 44
WAV_BYTES_PER_S = 32_000  # 16 kHz, 16 bit, one channel
MEGABYTE = 1_000_000
PLAIN_WAV = ("-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le", "-bitexact", "-map_metadata", "-1")
# What people send, and cheap to upload: 64 kbit/s.
PLAIN_MP3 = ("-ac", "1", "-ar", "24000", "-c:a", "libmp3lame", "-b:a", "64k")


def server_ffmpeg() -> Path:
    """The ffmpeg that the server would use, too. Raises ConfigurationError."""
    return Path(find_ffmpeg(Settings().ffmpeg_bin))


def sample_files() -> list[Path]:
    """The project's sample recordings, each speech once. Raises PackageFetchFailed."""
    return [sample_path(name) for name in SAMPLES if name.endswith(".wav")]


def make_long(folder: Path, duration_s: float) -> Path:
    """An mp3 of the samples one after another, over and over, for `duration_s` seconds."""
    files = sample_files()
    inputs = [word for path in files for word in ("-i", f"file:{path}")]
    joined = "".join(f"[{index}:a]" for index in range(len(files)))
    once = folder / "samples.wav"
    run_ffmpeg(
        *inputs, "-filter_complex", f"{joined}concat=n={len(files)}:v=0:a=1", *PLAIN_WAV, str(once)
    )
    target = folder / f"speech-{duration_s:.0f}s.mp3"
    run_ffmpeg(
        *("-stream_loop", "-1"), *("-i", f"file:{once}"), *("-t", f"{duration_s:g}"),
        *PLAIN_MP3, str(target),
    )  # fmt: skip
    return target


def cut(source: Path, folder: Path, duration_s: float) -> Path:
    """An mp3 of the first `duration_s` seconds of a recording."""
    target = folder / f"{source.stem}-{duration_s:.0f}s.mp3"
    run_ffmpeg("-i", f"file:{source}", "-t", f"{duration_s:g}", "-vn", *PLAIN_MP3, str(target))
    return target


def make_megabyte(folder: Path) -> Path:
    """A wav of exactly 1,000,000 bytes, 31 s of speech."""
    target = folder / "megabyte.wav"
    duration_s = (MEGABYTE - WAV_HEADER_BYTES) / WAV_BYTES_PER_S
    run_ffmpeg(
        *("-i", f"file:{sample_path()}"), *("-t", f"{duration_s:.6f}"), *PLAIN_WAV, str(target)
    )
    return target


def run_ffmpeg(*arguments: str) -> None:
    """Run ffmpeg. Raises BenchmarkFailed with its last words."""
    quiet: Sequence[str] = ("-nostdin", "-v", "error", "-y")
    command = [str(server_ffmpeg()), *quiet, *arguments]
    try:
        subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=FFMPEG_TIMEOUT_S
        )
    except subprocess.CalledProcessError as error:
        raise BenchmarkFailed(f"ffmpeg could not make a recording: {error.stderr}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchmarkFailed(f"ffmpeg needed more than {FFMPEG_TIMEOUT_S:.0f} s") from error
