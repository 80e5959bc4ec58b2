import pytest

from audio.ffmpeg import find_ffmpeg
from tests.recordings import make_recording


@pytest.fixture(scope="session")
def ffmpeg():
    return find_ffmpeg("")


@pytest.fixture(scope="session")
def recording(tmp_path_factory):
    """Make each kind once, in a folder of its own."""
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = make_recording(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return get
