from pathlib import Path

import pytest

from audio.ffmpeg import FORMATS, find_ffmpeg, input_options
from domain.errors import ConfigurationError


def make_program(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_setting_wins_over_the_path(tmp_path, monkeypatch):
    chosen = make_program(tmp_path / "chosen", "my-ffmpeg")
    make_program(tmp_path / "bin", "ffmpeg")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert find_ffmpeg(str(chosen)) == str(chosen)


def test_without_a_setting_the_path_is_searched(tmp_path, monkeypatch):
    program = make_program(tmp_path, "ffmpeg")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_ffmpeg("") == str(program)


def test_without_both_the_wheel_gives_its_binary_by_absolute_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    found = Path(find_ffmpeg(""))

    assert found.is_absolute()
    assert found.parent.parent.name == "imageio_ffmpeg"


def test_a_setting_that_names_no_program_is_an_error_even_if_another_could_be_found(tmp_path):
    with pytest.raises(ConfigurationError, match="FFMPEG_BIN"):
        find_ffmpeg(str(tmp_path / "missing"))


def test_none_at_all_is_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("audio.ffmpeg._find_in_wheel", lambda: None)

    with pytest.raises(ConfigurationError, match="install one"):
        find_ffmpeg("")


@pytest.mark.parametrize(
    "demuxer", ["hls", "concat", "dash", "image2", "png_pipe", "sdp", "rtsp", "lavfi", "data"]
)
def test_no_reader_that_opens_other_files_is_allowed(demuxer):
    assert demuxer not in FORMATS


def test_a_name_that_looks_like_a_protocol_or_an_option_is_opened_as_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    options = input_options(Path("-concat:a|b"))

    assert options[-2:] == ["-i", f"file:{tmp_path}/-concat:a|b"]
