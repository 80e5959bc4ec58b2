"""Recordings for tests, good and bad, made on the spot: nothing of anybody's voice.

`make_recording(kind, folder)` makes one of `KINDS`; `GOOD_KINDS` says how many seconds each good
one holds, `BAD_KINDS` with which error code each bad one is refused.
"""

import struct
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

SPEECH_S = 2.0
SHORT_S = 0.1
CLAIMED_HOURS = 100

Maker = Callable[[Path], None]


def synthesise_speechlike(seconds: float, rate: int = 16_000) -> NDArray[np.float32]:
    """A voice-like buzz in syllables: mono samples from -1 to 1. The same on every call."""
    time = np.arange(round(seconds * rate)) / rate
    pitch_hz = 120 + 15 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate
    voice = np.zeros_like(time)
    for harmonic in range(1, 25):
        frequency_hz = 120 * harmonic
        if frequency_hz < rate / 2:
            # Two formants, as of an open vowel, near 700 and 1200 Hz.
            gain = np.exp(-(((frequency_hz - 700) / 300) ** 2)) + 0.5 * np.exp(
                -(((frequency_hz - 1200) / 400) ** 2)
            )
            voice += gain * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * 4 * time), 0, 1)  # four a second, as in speech
    spoken = voice * syllables
    return (0.5 * spoken / max(1e-9, np.abs(spoken).max(initial=0))).astype(np.float32)


def make_speechlike_wav(path: Path, seconds: float, rate: int = 16_000, channels: int = 1) -> Path:
    """Write a 16-bit WAVE file of `synthesise_speechlike`, alike on every channel."""
    mono = (synthesise_speechlike(seconds, rate) * 32767).astype("<i2")
    _write_wav(path, np.repeat(mono[:, None], channels, axis=1).tobytes(), rate, channels)
    return path


def make_recording(kind: str, folder: Path) -> Path:
    """Make the recording of this kind in `folder` and return its path."""
    file_name, maker = _MAKERS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name
    maker(path)
    return path


def run_encoder(*arguments: str | Path) -> None:
    """Run the wheel's ffmpeg, which can encode everything that is needed here."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y"]
    subprocess.run([*command, *map(str, arguments)], check=True, timeout=60)


def _write_wav(path: Path, data: bytes, rate: int, channels: int) -> None:
    with wave.open(str(path), "wb") as target:
        target.setnchannels(channels)
        target.setsampwidth(2)
        target.setframerate(rate)
        target.writeframes(data)


def _speech(seconds: float = SPEECH_S, rate: int = 16_000, channels: int = 1) -> Maker:
    def make(path: Path) -> None:
        make_speechlike_wav(path, seconds, rate, channels)

    return make


def _encoded(*options: str, rate: int = 16_000, seconds: float = SPEECH_S) -> Maker:
    def make(path: Path) -> None:
        source = make_speechlike_wav(path.with_name("source.wav"), seconds, rate)
        run_encoder("-i", source, *options, path)
        source.unlink()

    return make


def _video(*options: str) -> Maker:
    def make(path: Path) -> None:
        source = make_speechlike_wav(path.with_name("source.wav"), SPEECH_S)
        picture = ("-f", "lavfi", "-i", f"testsrc=duration={SPEECH_S}:size=64x64:rate=10")
        run_encoder(*picture, "-i", source, *options, path)
        source.unlink()

    return make


def _picture(path: Path) -> None:
    run_encoder("-f", "lavfi", "-i", "testsrc=size=64x64", "-frames:v", 1, "-f", "image2", path)


def _bytes(content: bytes) -> Maker:
    def make(path: Path) -> None:
        path.write_bytes(content)

    return make


def _cut(kind: str, share: float = 0.5) -> Maker:
    """The first `share` of the bytes of another kind."""

    def make(path: Path) -> None:
        whole = make_recording(kind, path.parent / "whole")
        content = whole.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return make


def _with_hole(kind: str) -> Maker:
    """Another kind with a tenth of its bytes, in the middle, overwritten."""

    def make(path: Path) -> None:
        content = bytearray(make_recording(kind, path.parent / "whole").read_bytes())
        start, stop = int(len(content) * 0.5), int(len(content) * 0.6)
        content[start:stop] = b"\x55" * (stop - start)
        path.write_bytes(content)

    return make


def _film_that_outlasts_its_sound(path: Path) -> None:
    source = make_speechlike_wav(path.with_name("source.wav"), SPEECH_S)
    picture = ("-f", "lavfi", "-i", f"testsrc=duration={3 * SPEECH_S}:size=64x64:rate=10")
    run_encoder(*picture, "-i", source, "-c:v", "mpeg4", "-c:a", "aac", path)
    source.unlink()


def _hls_playlist(path: Path) -> None:
    # ffmpeg's HLS reader takes local segments of this format without any option.
    _encoded("-f", "mpegts", "-c:a", "mp2")(path.with_name("secret.ts"))
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nsecret.ts\n#EXT-X-ENDLIST\n")


def _concat_playlist(path: Path) -> None:
    make_speechlike_wav(path.with_name("secret.wav"), SPEECH_S)
    path.write_text("ffconcat version 1.0\nfile secret.wav\n")


def _claiming_wav(path: Path) -> None:
    """One second of 8-bit sound under a header that claims 100 hours."""
    rate = 8000
    claim = CLAIMED_HOURS * 3600 * rate
    sound = ((synthesise_speechlike(1.0, rate) * 100) + 128).astype(np.uint8).tobytes()
    path.write_bytes(_wav_header(1, 1, rate, 8, claim) + sound)


def _piped_wav(path: Path) -> None:
    """What a program writes that cannot go back to fill in the size."""
    sound = (synthesise_speechlike(SPEECH_S) * 32767).astype("<i2").tobytes()
    path.write_bytes(_wav_header(1, 1, 16_000, 16, 0xFFFF_FFFF) + sound)


def _nan_wav(path: Path) -> None:
    """Float samples with NaN, infinity and values far beyond full scale among them."""
    sound = synthesise_speechlike(SPEECH_S)
    sound[8000:8010] = np.nan
    sound[12000:12010] = np.inf
    sound[16000:16010] = 1e20
    path.write_bytes(_wav_header(3, 1, 16_000, 32, sound.nbytes) + sound.tobytes())


def _wav_header(code: int, channels: int, rate: int, bits: int, data_bytes: int) -> bytes:
    frame_bytes = channels * bits // 8
    form = struct.pack("<HHIIHH", code, channels, rate, rate * frame_bytes, frame_bytes, bits)
    riff_bytes = min(36 + data_bytes, 0xFFFF_FFFF)
    return struct.pack(
        "<4sI4s4sI16s4sI", b"RIFF", riff_bytes, b"WAVE", b"fmt ", 16, form, b"data", data_bytes
    )


def _silence(path: Path) -> None:
    _write_wav(path, bytes(2 * 16_000 * int(SPEECH_S)), 16_000, 1)


_MP3 = ("-c:a", "libmp3lame", "-b:a", "64k")
_OPUS = ("-c:a", "libopus", "-b:a", "24k")

_GOOD: dict[str, tuple[str, Maker, float]] = {
    "wav": ("speech.wav", _speech(), SPEECH_S),
    "mp3": ("speech.mp3", _encoded(*_MP3), SPEECH_S),
    "flac": ("speech.flac", _encoded(), SPEECH_S),
    "ogg": ("speech.ogg", _encoded("-c:a", "libvorbis"), SPEECH_S),
    "opus": ("speech.opus", _encoded(*_OPUS), SPEECH_S),
    "aac": ("speech.aac", _encoded("-c:a", "aac"), SPEECH_S),
    "m4a_index_at_end": ("speech.m4a", _encoded("-c:a", "aac"), SPEECH_S),
    "m4a_index_first": (
        "streamable.m4a",
        _encoded("-c:a", "aac", "-movflags", "+faststart"),
        SPEECH_S,
    ),
    "aiff": ("speech.aiff", _encoded(), SPEECH_S),
    "caf": ("speech.caf", _encoded(), SPEECH_S),
    "wma": ("speech.wma", _encoded("-c:a", "wmav2"), SPEECH_S),
    "mka": ("speech.mka", _encoded("-c:a", "flac"), SPEECH_S),
    "amr": ("speech.amr", _encoded("-c:a", "libopencore_amrnb", rate=8000), SPEECH_S),
    "webm_from_browser": (  # live: no length in the header, no index
        "speech.webm",
        _encoded(*_OPUS, "-f", "webm", "-live", "1"),
        SPEECH_S,
    ),
    "mp4_video": ("film.mp4", _video("-c:v", "mpeg4", "-c:a", "aac"), SPEECH_S),
    "avi_video": ("film.avi", _video("-c:v", "mpeg4", *_MP3), SPEECH_S),
    "mpegts_video": ("film.ts", _video("-c:v", "mpeg2video", "-c:a", "mp2"), SPEECH_S),
    "mp4_video_longer_than_sound": ("long-film.mp4", _film_that_outlasts_its_sound, SPEECH_S),
    "wav_8khz": ("phone.wav", _speech(rate=8000), SPEECH_S),
    "wav_96khz_7_1": ("surround.wav", _speech(rate=96_000, channels=8), SPEECH_S),
    "wav_nan": ("float.wav", _nan_wav, SPEECH_S),
    "wav_piped": ("piped.wav", _piped_wav, SPEECH_S),
    "short": ("short.wav", _speech(SHORT_S), SHORT_S),
    "silence": ("silence.wav", _silence, SPEECH_S),
    "claims_100_hours": ("claims.wav", _claiming_wav, 1.0),
    "mp3_cut_in_half": ("half.mp3", _cut("mp3_long"), 5.0),
    "wav_cut_in_half": ("half.wav", _cut("wav"), SPEECH_S / 2),
    "mp3_long": ("long.mp3", _encoded(*_MP3, seconds=10), 10.0),
    "flac_long": ("long.flac", _encoded(seconds=10), 10.0),
    "m4a_cut_off": ("streamable-half.m4a", _cut("m4a_index_first", 0.55), 0.85),
    "mka_cut_off": ("half.mka", _cut("mka_long"), 4.0),
    "mka_long": ("long.mka", _encoded("-c:a", "libvorbis", seconds=10), 10.0),
    "mp3_damaged": ("damaged.mp3", _with_hole("mp3_long"), 9.0),
    "flac_damaged": ("damaged.flac", _with_hole("flac_long"), 9.0),
}

_BAD: dict[str, tuple[str, Maker, str]] = {
    "empty": ("empty.mp3", _bytes(b""), "audio_empty"),
    "no_samples": ("nothing.wav", _speech(0), "audio_empty"),
    "text_named_mp3": ("notes.mp3", _bytes(b"Dear diary, today\n" * 500), "audio_unreadable"),
    "random_bytes": (
        "noise.mp3",
        _bytes(np.random.default_rng(1).bytes(300_000)),
        "audio_unreadable",
    ),
    "m4a_cut_in_half": ("half.m4a", _cut("m4a_index_at_end"), "audio_unreadable"),
    "picture": ("picture.png", _picture, "audio_stream_missing"),
    "picture_named_mp3": ("picture.mp3", _picture, "audio_stream_missing"),
    "video_without_sound": ("mute.mp4", _video("-c:v", "mpeg4", "-an"), "audio_stream_missing"),
    "hls_playlist": ("list.m3u8", _hls_playlist, "audio_unreadable"),
    "hls_playlist_named_mp3": ("list.mp3", _hls_playlist, "audio_unreadable"),
    "concat_playlist": ("list.ffconcat", _concat_playlist, "audio_unreadable"),
    "concat_playlist_named_mp3": ("concat.mp3", _concat_playlist, "audio_unreadable"),
}

GOOD_KINDS = {kind: seconds for kind, (_, _, seconds) in _GOOD.items()}
BAD_KINDS = {kind: code for kind, (_, _, code) in _BAD.items()}
KINDS = (*GOOD_KINDS, *BAD_KINDS)

_MAKERS = {kind: (name, maker) for kind, (name, maker, _) in (_GOOD | _BAD).items()}
