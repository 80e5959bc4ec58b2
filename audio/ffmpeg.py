"""Where ffmpeg is, and the options under which a stranger's file may be opened."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from domain.errors import ConfigurationError

# Demuxers by ffmpeg's names. The list is the guard against files that make ffmpeg open other
# files (hls, concat, dash, image sequences, sdp): -protocol_whitelist alone does not stop them.
FORMATS = (
    *("wav", "w64", "caf", "aiff", "au"),
    *("mp3", "aac", "flac", "ogg", "amr", "wv"),
    *("matroska", "webm", "mov", "mp4", "m4a", "3gp", "3g2"),
    *("asf", "avi", "flv", "mpeg", "mpegts"),
)

# The level in front of each line is what `FfmpegLog` tells lines apart by.
QUIET = ("-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info")

# One thread: the worker's cores belong to the model, and a decoder is far faster than it.
SAFE_INPUT = (
    *("-threads", "1"),
    *("-protocol_whitelist", "file"),
    *("-format_whitelist", ",".join(FORMATS)),
)

FIRST_AUDIO_STREAM = ("-map", "0:a:0", "-vn", "-sn", "-dn")


def find_ffmpeg(configured: str) -> str:
    """Absolute path of ffmpeg: `configured` (FFMPEG_BIN) if not empty, else PATH, else the wheel.

    Raises ConfigurationError when `configured` cannot be run, or when there is none at all.
    """
    if configured:
        found = shutil.which(configured)
        if found is None:
            raise ConfigurationError(f"FFMPEG_BIN names no program that can be run: {configured}")
        return str(Path(found).absolute())
    found = shutil.which("ffmpeg") or _find_in_wheel()
    if found is None:
        raise ConfigurationError(
            "ffmpeg was found neither on PATH nor in the imageio-ffmpeg package: install one "
            "of them or set FFMPEG_BIN"
        )
    return str(Path(found).absolute())


def _find_in_wheel() -> str | None:
    # The package's own finder is not asked: it would also search PATH and conda, and run what
    # it finds to see whether it works.
    spec = find_spec("imageio_ffmpeg")
    if spec is None or spec.origin is None:
        return None
    binaries = sorted((Path(spec.origin).parent / "binaries").glob("ffmpeg-*"))
    return next((found for path in binaries if (found := shutil.which(path))), None)


def input_options(path: Path) -> list[str]:
    """Options that open `path` and nothing else; `file:` keeps a name from being a protocol."""
    return [*SAFE_INPUT, "-i", f"file:{path.absolute()}"]
